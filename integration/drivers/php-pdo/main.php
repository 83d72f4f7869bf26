<?php
// PHP's PDO at its defaults: every prepared statement is one of the server's.
const UNICODE = "naïve Δοκιμή 試験 🐘";
define('TAG', getenv('PGSEAL_TEST_TAG'));

function run(string $name, callable $step): void
{
    try {
        $step();
        echo "ok $name\n";
    } catch (Throwable $e) {
        echo "FAIL $name: ", preg_replace('/\s+/', ' ', $e->getMessage()), ' (line ', $e->getLine(), ")\n";
    }
}

function missing(string $name, string $why): void
{
    echo "n/a $name: $why\n";
}

function equal(mixed $got, mixed $want): void
{
    if ($got !== $want) {
        throw new Exception('got ' . var_export($got, true) . ', want ' . var_export($want, true)
            . ' at line ' . debug_backtrace()[0]['line']);
    }
}

function fails(string $state, callable $call): void
{
    try {
        $call();
    } catch (PDOException $e) {
        equal((string) $e->getCode(), $state);
        return;
    }
    throw new Exception("no error, want $state");
}

// connect leaves to libpq what its environment variables say.
function connect(string $dbname): PDO
{
    return new PDO("pgsql:dbname=$dbname", getenv('PGUSER'), getenv('PGPASSWORD'));
}

function one(PDO $c, string $sql, array $args = []): mixed
{
    $s = $c->prepare($sql);
    $s->execute($args);
    return $s->fetchColumn();
}

function both(callable $step): callable
{
    return function () use ($step) {
        global $a, $b;
        for ($i = 0; $i < 3; $i++) {
            $step($a, TAG . 'a');
            $step($b, TAG . 'b');
        }
    };
}

function open(): void
{
    global $a, $b;
    $a = connect(getenv('PGDATABASE'));
    $b = connect(getenv('PGDATABASE'));
}

echo 'version ', phpversion('pdo_pgsql'), "\n";
run('connect', 'open');

run('types', both(function (PDO $c) {
    $data = "\x00\x01\\'\xff";
    $s = $c->prepare('SELECT ?::bigint, ?::text, ?::text, ?::bytea, ?::timestamptz, ?::bool');
    foreach ([[1 << 40, PDO::PARAM_INT], [UNICODE, PDO::PARAM_STR], [null, PDO::PARAM_NULL],
        [$data, PDO::PARAM_LOB], ['2026-03-29 01:30:00.123456+00', PDO::PARAM_STR], [true, PDO::PARAM_BOOL]] as $i => [$value, $type]) {
        $s->bindValue($i + 1, $value, $type);
    }
    $s->execute();
    $row = $s->fetch(PDO::FETCH_NUM);
    $row[3] = stream_get_contents($row[3]);
    equal($row, [1 << 40, UNICODE, null, $data, '2026-03-29 01:30:00.123456+00', true]);
}));

run('prepared', function () {
    global $a, $b;
    $one = $a->prepare('SELECT ?::int + 1');
    $two = $b->prepare('SELECT ?::int + 2');
    for ($i = 0; $i < 12; $i++) {
        $one->execute([$i]);
        $two->execute([$i]);
        equal($one->fetchColumn(), $i + 1);
        equal($two->fetchColumn(), $i + 2);
        equal(one($a, "SELECT 'a' || ?::int", [$i]), "a$i");
        equal(one($b, "SELECT 'b' || ?::int", [$i]), "b$i");
    }
    $one = null; // DEALLOCATE, by SQL
    $two->execute([1]);
    equal($two->fetchColumn(), 3);
});

run('transactions', both(function (PDO $c, string $table) {
    $c->exec("CREATE TABLE $table (n int)");
    $insert = $c->prepare("INSERT INTO $table VALUES (?)");
    foreach (['commit', 'rollBack', 'commit'] as $i => $end) {
        $c->beginTransaction();
        $insert->execute([$i]);
        $c->$end();
    }
    equal(one($c, "SELECT string_agg(n::text, ' ' ORDER BY n) FROM $table"), '0 2');
    $c->exec("DROP TABLE $table");
}));

missing('pipeline', 'PDO has none');

run('copy', both(function (PDO $c, string $table) {
    $c->exec("CREATE TABLE $table (n int, word text)");
    $c->pgsqlCopyFromArray($table, array_map(fn ($i) => "$i\t" . UNICODE, range(0, 4999)));
    $rows = $c->pgsqlCopyToArray($table);
    equal(count($rows), 5000);
    equal($rows[4999], "4999\t" . UNICODE . "\n");
    $c->exec("DROP TABLE $table");
}));

missing('cancel', 'PDO has none');

run('listen', function () {
    global $a, $b;
    $a->exec('LISTEN ' . TAG);
    one(connect(getenv('PGSEAL_TEST_ASIDE')), 'SELECT pg_notify(?, ?)', [TAG, UNICODE]);
    $n = $a->pgsqlGetNotify(PDO::FETCH_ASSOC, 10000);
    equal([$n['message'], $n['payload']], [TAG, UNICODE]);
    $a->exec('UNLISTEN *');
    equal(one($b, 'SELECT count(*) FROM pg_listening_channels()'), 0);
});

run('settings', function () {
    global $a, $b;
    $want = [[$a, 'asia, public', 'Asia/Tokyo'], [$b, 'amer, public', 'America/New_York']];
    foreach ($want as [$c, $path, $zone]) {
        $c->exec("SET search_path TO $path; SET TIME ZONE '$zone'");
        one($c, "SELECT set_config('application_name', ?, false)", [$zone]);
        $c->exec("SET statement_timeout TO '1h'");
    }
    for ($i = 0; $i < 5; $i++) {
        foreach ($want as [$c, $path, $zone]) {
            equal(array_map(fn ($name) => one($c, "SHOW $name"), ['search_path', 'TimeZone', 'application_name', 'statement_timeout']),
                [$path, $zone, $zone, '1h']);
        }
    }
    $a->exec('RESET ALL');
    equal(one($b, 'SHOW statement_timeout'), '1h');
    equal(one($a, 'SHOW statement_timeout'), '0');
    $b->exec('RESET ALL');
});

run('errors', both(function (PDO $c) {
    foreach (['SELECT 1/0' => '22012', 'SELEKT' => '42601', 'SELECT * FROM nowhere' => '42P01'] as $sql => $state) {
        fails($state, fn () => $c->exec($sql));
        fails($state, fn () => one($c, $sql));
        equal(one($c, 'SELECT ?::int', [7]), 7);
    }
    $c->beginTransaction();
    fails('22012', fn () => one($c, 'SELECT 1/?::int', [0]));
    fails('25P02', fn () => one($c, 'SELECT 1'));
    $c->rollBack();
    equal(one($c, 'SELECT ?::int', [8]), 8);
}));

run('reconnect', function () {
    global $a, $b;
    fails('22012', fn () => $a->exec('SELECT 1/0'));
    open();
    equal([one($a, 'SELECT ?::int', [9]), one($b, 'SELECT ?::int', [9])], [9, 9]);
});
