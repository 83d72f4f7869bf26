"""Says to the console what pgAdmin 4 says when it connects, as far as it takes
empty answers from catalogs; prints the version that it learns."""

import sys

import psycopg
from psycopg.rows import dict_row

PRIVILEGES = """
SELECT r.oid AS id, r.rolname AS name, r.rolsuper AS is_superuser,
       CASE WHEN r.rolsuper THEN true ELSE r.rolcreaterole END AS can_create_role,
       CASE WHEN r.rolsuper THEN true ELSE r.rolcreatedb END AS can_create_db,
       CASE WHEN 'pg_signal_backend' = ANY(ARRAY(
           WITH RECURSIVE member AS (
               SELECT oid, rolname FROM pg_roles WHERE oid = r.oid
               UNION ALL
               SELECT m.roleid, p.rolname FROM member JOIN pg_auth_members m ON m.member = member.oid
               JOIN pg_roles p ON p.oid = m.roleid)
           SELECT rolname FROM member)) THEN true ELSE false END AS can_signal_backend
FROM pg_catalog.pg_roles AS r
WHERE rolname = current_user"""

DATABASE = """
SELECT db.oid AS did, db.datname, db.datallowconn, pg_encoding_to_char(db.encoding) AS serverencoding,
       has_database_privilege(db.oid, 'CREATE') AS cancreate, datistemplate
FROM pg_catalog.pg_database db
WHERE db.datname = current_database()"""

SETTING = "SELECT set_config('bytea_output', 'hex', false) FROM {} WHERE name = 'bytea_output'; "

connection = psycopg.connect(sys.argv[1], autocommit=True, row_factory=dict_row)
assert connection.info.server_version == 150000, connection.info.server_version
with connection.cursor() as cursor:
    for settings in ("pg_settings", "pg_show_all_settings()"):
        cursor.execute(
            "SET DateStyle=ISO; SET client_min_messages=notice; " + SETTING.format(settings) + "SET client_encoding='UTF8';"
        )
    cursor.execute("SELECT version()")
    version = cursor.fetchone()["version"]
    for catalog in (
        DATABASE,
        "SELECT gss_authenticated, encrypted FROM pg_catalog.pg_stat_gssapi WHERE pid = pg_backend_pid()",
        "SELECT ssl, version, cipher FROM pg_catalog.pg_stat_ssl WHERE pid = pg_backend_pid()",
        PRIVILEGES,
        "SELECT CASE WHEN usesuper THEN pg_is_in_recovery() ELSE false END AS inrecovery, usesuper FROM pg_user WHERE usename = current_user",
        "SELECT roles.oid AS id, roles.rolname AS name FROM pg_roles roles WHERE rolname = current_user",
    ):
        cursor.execute(catalog)
        assert cursor.fetchall() == [], catalog
        assert cursor.description, catalog
    cursor.execute(DATABASE, prepare=True)  # by name, with the extended protocol
    assert [c.name for c in cursor.description][:2] == ["did", "datname"]
    cursor.execute("SHOW POOLS;")
    assert any(row["database"] == "pgbouncer" for row in cursor.fetchall())
print(version)
