import java.sql.Connection;
import java.sql.DriverManager;
import java.sql.ResultSet;
import java.sql.Statement;

/** Uses the console of pgseal with the extended protocol; prints what SHOW DATABASES says. */
public class Console {
    public static void main(String[] args) throws Exception {
        try (Connection connection = DriverManager.getConnection(args[0])) {
            connection.setAutoCommit(false);
            try (Statement statement = connection.createStatement()) {
                for (int i = 0; i < 8; i++) { // JDBC prepares it on the server after five times
                    try (ResultSet rows = statement.executeQuery("SHOW VERSION")) {
                        rows.next();
                        if (!rows.getString("version").startsWith("pgseal ")) {
                            throw new AssertionError(rows.getString("version"));
                        }
                    }
                }
                statement.execute("RELOAD");
                connection.commit();
                try (ResultSet tables = connection.getMetaData().getTables(null, null, "%", null)) {
                    if (tables.next()) {
                        throw new AssertionError("there are tables");
                    }
                }
                try (ResultSet rows = statement.executeQuery("SHOW DATABASES")) {
                    while (rows.next()) {
                        if (rows.getString("name").equals("app") && rows.getInt("pool_size") == 5) {
                            System.out.println(rows.getString("database") + " transaction");
                        }
                    }
                }
            }
            connection.commit();
        }
    }
}
