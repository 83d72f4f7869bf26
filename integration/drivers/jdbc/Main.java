// PostgreSQL's JDBC driver at its defaults: a statement is prepared under a
// name at its fifth use, and batches are pipelined.
import java.io.ByteArrayInputStream;
import java.io.InputStream;
import java.io.StringReader;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.sql.*;
import java.time.OffsetDateTime;
import java.time.ZoneOffset;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.TimeUnit;
import org.postgresql.PGConnection;
import org.postgresql.copy.CopyManager;

public class Main {
    static final String TAG = System.getenv("PGSEAL_TEST_TAG");
    static final String UNICODE = "naïve Δοκιμή 試験 🐘";
    static Connection a, b;

    interface Step { void run() throws Exception; }
    interface On { void run(Connection c, String table) throws Exception; }

    static void run(String name, Step step) {
        try {
            step.run();
            System.out.println("ok " + name);
        } catch (Throwable e) {
            String line = Arrays.stream(e.getStackTrace()).filter(f -> f.getClassName().startsWith("Main"))
                .map(f -> String.valueOf(f.getLineNumber())).reduce((x, y) -> x + "," + y).orElse("");
            System.out.println("FAIL " + name + ": " + String.valueOf(e.getMessage()).replaceAll("\\s+", " ") + " (lines " + line + ")");
        }
    }

    static Step both(On step) {
        return () -> {
            for (int i = 0; i < 3; i++) {
                step.run(a, TAG + "a");
                step.run(b, TAG + "b");
            }
        };
    }

    static void equal(Object got, Object want) {
        if (!Objects.deepEquals(got, want)) throw new AssertionError("got " + got + ", want " + want);
    }

    static void fails(String state, Step step) throws Exception {
        try {
            step.run();
        } catch (SQLException e) {
            if (!state.equals(e.getSQLState())) throw e;
            return;
        }
        throw new AssertionError("no error, want " + state);
    }

    static Connection connect(String database) throws SQLException {
        return DriverManager.getConnection("jdbc:postgresql://" + System.getenv("PGHOST") + ":" + System.getenv("PGPORT") + "/" + database
            + "?sslmode=verify-full&sslrootcert=" + System.getenv("PGSSLROOTCERT"), System.getenv("PGUSER"), System.getenv("PGPASSWORD"));
    }

    static void execute(Connection c, String sql) throws SQLException {
        try (Statement s = c.createStatement()) { s.execute(sql); }
    }

    static String one(Connection c, String sql, Object... args) throws SQLException {
        try (PreparedStatement s = c.prepareStatement(sql)) {
            for (int i = 0; i < args.length; i++) s.setObject(i + 1, args[i]);
            try (ResultSet r = s.executeQuery()) { r.next(); return r.getString(1); }
        }
    }

    static void types(Connection c, String table) throws Exception {
        OffsetDateTime at = OffsetDateTime.of(2026, 3, 29, 1, 30, 0, 123456000, ZoneOffset.UTC);
        byte[] data = {0, 1, 92, 39, (byte) 255};
        try (PreparedStatement s = c.prepareStatement("SELECT ?::bigint, ?::text, ?::text, ?::bytea, ?::timestamptz, ?::text[]")) {
            for (int i = 0; i < 8; i++) {
                s.setLong(1, 1L << 40);
                s.setString(2, UNICODE);
                s.setNull(3, Types.VARCHAR);
                s.setBytes(4, data);
                s.setObject(5, at);
                s.setArray(6, c.createArrayOf("text", new String[] {"x", UNICODE}));
                try (ResultSet r = s.executeQuery()) {
                    r.next();
                    equal(r.getLong(1), 1L << 40);
                    equal(r.getString(2), UNICODE);
                    equal(r.getString(3), null);
                    equal(r.getBytes(4), data);
                    equal(r.getObject(5, OffsetDateTime.class), at);
                    equal(r.getArray(6).getArray(), new String[] {"x", UNICODE});
                }
            }
        }
    }

    static void prepared() throws Exception {
        try (PreparedStatement one = a.prepareStatement("SELECT ?::int + 1"); PreparedStatement two = b.prepareStatement("SELECT ?::int + 2")) {
            for (int i = 0; i < 20; i++) {
                one.setInt(1, i);
                two.setInt(1, i);
                try (ResultSet r = one.executeQuery(); ResultSet q = two.executeQuery()) {
                    r.next();
                    q.next();
                    equal(r.getInt(1), i + 1);
                    equal(q.getInt(1), i + 2);
                }
                equal(one(a, "SELECT 'a' || ?::int", i), "a" + i);
                equal(one(b, "SELECT 'b' || ?::int", i), "b" + i);
            }
        }
    }

    static void transactions(Connection c, String table) throws Exception {
        execute(c, "CREATE TABLE " + table + " (n int)");
        c.setAutoCommit(false);
        try (PreparedStatement s = c.prepareStatement("INSERT INTO " + table + " VALUES (?)")) {
            for (int i = 0; i < 12; i++) {
                s.setInt(1, i);
                s.executeUpdate();
                if (i % 2 == 0) c.commit(); else c.rollback();
            }
        }
        try (PreparedStatement s = c.prepareStatement("SELECT n FROM " + table + " ORDER BY n")) {
            s.setFetchSize(2); // a portal, fetched in parts
            int n = 0;
            try (ResultSet r = s.executeQuery()) {
                while (r.next()) { equal(r.getInt(1), n); n += 2; }
            }
            equal(n, 12);
        }
        c.commit();
        c.setAutoCommit(true);
        execute(c, "DROP TABLE " + table);
    }

    static void pipeline(Connection c, String table) throws Exception {
        execute(c, "CREATE TABLE " + table + " (n int PRIMARY KEY)");
        try (PreparedStatement s = c.prepareStatement("INSERT INTO " + table + " VALUES (?)")) {
            for (int batch = 0; batch < 8; batch++) {
                for (int i = 0; i < 300; i++) { s.setInt(1, batch * 300 + i); s.addBatch(); }
                s.executeBatch();
            }
            s.setInt(1, -1); s.addBatch();
            s.setInt(1, 0); s.addBatch();
            s.setInt(1, -2); s.addBatch();
            fails("23505", s::executeBatch);
        }
        equal(one(c, "SELECT count(*) FROM " + table), "2400");
        execute(c, "DROP TABLE " + table);
    }

    static void copies(Connection c, String table) throws Exception {
        execute(c, "CREATE TABLE " + table + " (n int, word text)");
        CopyManager copy = c.unwrap(PGConnection.class).getCopyAPI();
        StringBuilder in = new StringBuilder();
        for (int i = 0; i < 5000; i++) in.append(i).append('\t').append(UNICODE).append('\n');
        // From bytes: from a Reader the driver breaks a surrogate pair now and then.
        InputStream bytes = new ByteArrayInputStream(in.toString().getBytes(StandardCharsets.UTF_8));
        equal(copy.copyIn("COPY " + table + " FROM STDIN", bytes), 5000L);
        fails("22P02", () -> copy.copyIn("COPY " + table + " FROM STDIN", new StringReader("bad\trow\n")));
        StringWriter out = new StringWriter();
        equal(copy.copyOut("COPY " + table + " TO STDOUT", out), 5000L);
        equal(out.toString(), in.toString());
        execute(c, "DROP TABLE " + table);
    }

    static void cancel() throws Exception {
        for (Connection c : new Connection[] {a, b, a}) {
            try (Statement s = c.createStatement()) {
                CompletableFuture<Void> canceler = CompletableFuture.runAsync(() -> {
                    try { s.cancel(); } catch (SQLException e) { throw new RuntimeException(e); }
                }, CompletableFuture.delayedExecutor(500, TimeUnit.MILLISECONDS));
                fails("57014", () -> s.execute("SELECT pg_sleep(30)"));
                canceler.join();
                s.setQueryTimeout(1);
                fails("57014", () -> s.execute("SELECT pg_sleep(30)"));
            }
            equal(one(c == a ? b : a, "SELECT ?::int", 5), "5");
            equal(one(c, "SELECT ?::int", 6), "6");
        }
    }

    static void listen() throws Exception {
        execute(a, "LISTEN " + TAG);
        try (Connection aside = connect(System.getenv("PGSEAL_TEST_ASIDE"))) {
            one(aside, "SELECT pg_notify(?, ?)", TAG, UNICODE);
        }
        org.postgresql.PGNotification[] got = a.unwrap(PGConnection.class).getNotifications(10000);
        equal(got == null ? 0 : got.length, 1);
        equal(got[0].getName() + got[0].getParameter(), TAG + UNICODE);
        execute(a, "UNLISTEN *");
        equal(one(b, "SELECT count(*) FROM pg_listening_channels()"), "0");
    }

    static void settings() throws Exception {
        Object[][] want = {{a, "asia, public", "Asia/Tokyo"}, {b, "amer, public", "America/New_York"}};
        for (Object[] w : want) {
            Connection c = (Connection) w[0];
            execute(c, "SET search_path TO " + w[1] + "; SET TIME ZONE '" + w[2] + "'");
            c.setClientInfo("ApplicationName", (String) w[2]);
            execute(c, "SET statement_timeout TO '1h'");
        }
        b.setTransactionIsolation(Connection.TRANSACTION_SERIALIZABLE);
        for (int i = 0; i < 8; i++) {
            for (Object[] w : want) {
                Connection c = (Connection) w[0];
                equal(one(c, "SHOW search_path"), w[1]);
                equal(one(c, "SHOW TimeZone"), w[2]);
                equal(one(c, "SHOW application_name"), w[2]);
                equal(one(c, "SHOW statement_timeout"), "1h");
                equal(c.getTransactionIsolation(), c == b ? Connection.TRANSACTION_SERIALIZABLE : Connection.TRANSACTION_READ_COMMITTED);
            }
        }
        execute(a, "RESET ALL");
        equal(one(b, "SHOW statement_timeout"), "1h");
        equal(one(a, "SHOW statement_timeout"), "0");
        execute(b, "RESET ALL");
    }

    static void failures(Connection c, String table) throws Exception {
        String[][] wrong = {{"SELECT 1/0", "22012"}, {"SELEKT", "42601"}, {"SELECT * FROM nowhere", "42P01"}};
        for (String[] w : wrong) {
            fails(w[1], () -> one(c, w[0]));
            equal(one(c, "SELECT ?::int", 7), "7");
        }
        c.setAutoCommit(false);
        fails("22012", () -> one(c, "SELECT 1/?::int", 0));
        fails("25P02", () -> one(c, "SELECT 1"));
        c.rollback();
        c.setAutoCommit(true);
        equal(one(c, "SELECT ?::int", 8), "8");
    }

    static void open() throws Exception {
        a = connect(System.getenv("PGDATABASE"));
        b = connect(System.getenv("PGDATABASE"));
    }

    public static void main(String[] args) throws Exception {
        System.setOut(new java.io.PrintStream(System.out, true, "UTF-8"));
        System.out.println("version " + org.postgresql.util.DriverInfo.DRIVER_VERSION);
        run("connect", Main::open);
        run("types", both(Main::types));
        run("prepared", Main::prepared);
        run("transactions", both(Main::transactions));
        run("pipeline", both(Main::pipeline));
        run("copy", both(Main::copies));
        run("cancel", Main::cancel);
        run("listen", Main::listen);
        run("settings", Main::settings);
        run("errors", both(Main::failures));
        run("reconnect", () -> {
            fails("22012", () -> one(a, "SELECT 1/0"));
            a.close();
            b.close();
            open();
            equal(one(a, "SELECT ?::int", 9) + one(b, "SELECT ?::int", 9), "99");
            a.close();
            b.close();
        });
    }
}
