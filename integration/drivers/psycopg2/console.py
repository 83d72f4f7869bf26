"""Uses the console of pgseal as monitoring tools do; prints what SHOW POOLS says."""

import sys

import psycopg2
import psycopg2.extras

connection = psycopg2.connect(sys.argv[1])
with connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
    cursor.execute("SHOW VERSION")  # within the transaction that psycopg2 begins
    assert cursor.fetchone()["version"].startswith("pgseal ")
    cursor.execute("SELECT version(), current_user")
    assert cursor.fetchone()[1] == "app"
connection.commit()
connection.autocommit = True
with connection.cursor(cursor_factory=psycopg2.extras.DictCursor) as cursor:
    cursor.execute("RELOAD;")
    assert cursor.statusmessage == "RELOAD", cursor.statusmessage
    try:
        cursor.execute("NONSENSE")
        raise AssertionError("nonsense was taken")
    except psycopg2.errors.SyntaxError:
        pass
    cursor.execute("SHOW DATABASES")
    row = [r for r in cursor.fetchall() if r["name"] == "app"][0]
    assert isinstance(row["pool_size"], int)
    print(row["database"], "transaction")
