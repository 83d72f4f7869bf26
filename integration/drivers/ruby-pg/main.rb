# ruby-pg at its defaults.
require "pg"

TAG = ENV.fetch("PGSEAL_TEST_TAG")
UNICODE = "naïve Δοκιμή 試験 🐘"

class Undo < StandardError; end

def run(name)
  yield
  puts "ok #{name}"
rescue StandardError => e
  puts "FAIL #{name}: #{e.class} #{e.message.split.join(' ')} (#{e.backtrace.grep(/main\.rb/).map { |l| l[/:(\d+)/, 1] }.join(',')})"
end

def equal(got, want)
  raise "got #{got.inspect}, want #{want.inspect}" unless got == want
end

def raises(kind)
  yield
rescue kind
  nil
else
  raise "no #{kind}"
end

def one(conn, sql, *args)
  conn.exec_params(sql, args).getvalue(0, 0)
end

def both
  3.times { [[@a, "#{TAG}a"], [@b, "#{TAG}b"]].each { |conn, table| yield conn, table } }
end

def connect
  @a, @b = PG.connect, PG.connect
end

$stdout.sync = true
puts "version #{PG::VERSION}"

run("connect") { connect }

run("types") do
  both do |conn|
    at = Time.utc(2026, 3, 29, 1, 30, Rational(123_456, 1_000_000))
    conn.type_map_for_results = PG::BasicTypeMapForResults.new(conn)
    data = [0, 1, 92, 39, 255].pack("C*")
    row = conn.exec_params("SELECT $1::bigint, $2::text, $3::text, $4::bytea, $5::timestamptz, $6::text[]",
                           [1 << 40, UNICODE, nil, { value: data, format: 1 }, at.strftime("%F %T.%6NZ"), PG::TextEncoder::Array.new.encode(["x", UNICODE])]).values[0]
    conn.type_map_for_results = PG::TypeMapAllStrings.new
    equal(row, [1 << 40, UNICODE, nil, data, at, ["x", UNICODE]])
  end
end

run("prepared") do
  @a.prepare("mine", "SELECT $1::int + 1")
  @b.prepare("mine", "SELECT $1::int + 2")
  raises(PG::DuplicatePstatement) { @a.prepare("mine", "SELECT 1") }
  12.times do |i|
    equal(@a.exec_prepared("mine", [i]).getvalue(0, 0), (i + 1).to_s)
    equal(@b.exec_prepared("mine", [i]).getvalue(0, 0), (i + 2).to_s)
    equal(@a.describe_prepared("mine").nparams, 1)
  end
  @a.exec("DEALLOCATE mine")
  raises(PG::InvalidSqlStatementName) { @a.exec_prepared("mine", [1]) }
  equal(@b.exec_prepared("mine", [1]).getvalue(0, 0), "3")
  @b.exec("DEALLOCATE ALL")
  @b.prepare("mine", "SELECT $1::text")
  equal(@b.exec_prepared("mine", ["new"]).getvalue(0, 0), "new")
end

run("transactions") do
  both do |conn, table|
    conn.exec("CREATE TABLE #{table} (n int)")
    [false, true, false].each_with_index do |undo, i|
      conn.transaction do
        conn.exec_params("INSERT INTO #{table} VALUES ($1)", [i])
        raise Undo if undo
      end
    rescue Undo
      nil
    end
    equal(one(conn, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM #{table}"), "0 2")
    conn.exec("DROP TABLE #{table}")
  end
end

run("pipeline") do
  both do |conn|
    conn.enter_pipeline_mode
    50.times { |i| conn.send_query_params("SELECT $1::int * 2", [i]) }
    conn.pipeline_sync
    50.times do |i|
      equal(conn.get_result.getvalue(0, 0), (2 * i).to_s)
      conn.get_result
    end
    equal(conn.get_result.result_status, PG::PGRES_PIPELINE_SYNC)
    conn.send_query_params("SELECT 1/$1::int", [0])
    conn.send_query_params("SELECT $1::int", [1])
    conn.pipeline_sync
    equal(conn.get_result.error_field(PG::PG_DIAG_SQLSTATE), "22012")
    conn.get_result
    equal(conn.get_result.result_status, PG::PGRES_PIPELINE_ABORTED)
    conn.get_result
    equal(conn.get_result.result_status, PG::PGRES_PIPELINE_SYNC)
    conn.exit_pipeline_mode
    equal(one(conn, "SELECT $1::int", 4), "4")
  end
end

run("copy") do
  both do |conn, table|
    conn.exec("CREATE TABLE #{table} (n int, word text)")
    conn.copy_data("COPY #{table} FROM STDIN") { 5000.times { |i| conn.put_copy_data("#{i}\t#{UNICODE}\n") } }
    raises(RuntimeError) { conn.copy_data("COPY #{table} FROM STDIN") { raise "given up" } }
    rows = 0
    conn.copy_data("COPY #{table} TO STDOUT") { rows += 1 while conn.get_copy_data }
    equal(rows, 5000)
    conn.exec("DROP TABLE #{table}")
  end
end

run("cancel") do
  [[@a, @b], [@b, @a], [@a, @b]].each do |conn, other|
    canceler = Thread.new { sleep 0.5; conn.cancel }
    raises(PG::QueryCanceled) { conn.exec("SELECT pg_sleep(30)") }
    canceler.join
    equal(one(other, "SELECT $1::int", 5), "5")
    equal(one(conn, "SELECT $1::int", 6), "6")
  end
end

run("listen") do
  @a.exec("LISTEN #{TAG}")
  aside = PG.connect(dbname: ENV.fetch("PGSEAL_TEST_ASIDE"))
  aside.exec_params("SELECT pg_notify($1, $2)", [TAG, UNICODE])
  aside.close
  heard = nil
  @a.wait_for_notify(10) { |channel, _pid, payload| heard = [channel, payload] }
  equal(heard, [TAG, UNICODE])
  @a.exec("UNLISTEN *")
  equal(one(@b, "SELECT count(*) FROM pg_listening_channels()"), "0")
end

run("settings") do
  want = { @a => ["asia, public", "Asia/Tokyo"], @b => ["amer, public", "America/New_York"] }
  want.each do |conn, (path, zone)|
    conn.exec("SET search_path TO #{path}; SET TIME ZONE '#{zone}'")
    conn.exec_params("SELECT set_config('application_name', $1, false)", [zone])
    conn.exec("SET statement_timeout TO '1h'")
    conn.set_client_encoding("LATIN1") if conn == @b
  end
  5.times do
    want.each do |conn, (path, zone)|
      got = %w[search_path TimeZone application_name statement_timeout].map { |name| one(conn, "SHOW #{name}") }
      equal(got, [path, zone, zone, "1h"])
      equal(conn.parameter_status("TimeZone"), zone)
    end
    equal(one(@a, "SELECT 'é'"), "é")
    equal(one(@b, "SELECT 'é'".encode("ISO-8859-1")).encode("UTF-8"), "é")
  end
  @a.exec("RESET ALL")
  equal(one(@b, "SHOW statement_timeout"), "1h")
  equal(one(@a, "SHOW statement_timeout"), "0")
  @b.exec("DISCARD ALL")
  equal(one(@b, "SHOW statement_timeout"), "0")
end

run("errors") do
  both do |conn|
    { "SELECT 1/0" => PG::DivisionByZero, "SELEKT" => PG::SyntaxError, "SELECT * FROM nowhere" => PG::UndefinedTable }.each do |sql, kind|
      raises(kind) { conn.exec(sql) }
      equal(one(conn, "SELECT $1::int", 7), "7")
    end
    conn.exec("BEGIN")
    raises(PG::DivisionByZero) { conn.exec_params("SELECT 1/$1::int", [0]) }
    raises(PG::InFailedSqlTransaction) { conn.exec("SELECT 1") }
    conn.exec("ROLLBACK")
    equal(one(conn, "SELECT $1::int", 8), "8")
  end
end

run("reconnect") do
  raises(PG::DivisionByZero) { @a.exec("SELECT 1/0") }
  @a.reset
  equal([one(@a, "SELECT $1::int", 9), one(@b, "SELECT $1::int", 9)], %w[9 9])
  @a.close
  @b.close
end
