// The tables of schema bench and the statements on them, made from one set of sizes.
'use strict';

const FULL = {
  points: 10_000,
  mixed: 100_000,
  middle: 10_000,
  few: 1_000,
  people: 25_000,
  docs: 100,
  vector: 50_000,
  bytes: 10_000_000,
  bulk: 10_000,
  streamed: 10,
};
const SMOKE = {
  ...FULL,
  points: 1_000,
  mixed: 3_000,
  middle: 1_000,
  people: 2_500,
  docs: 10,
  vector: 5_000,
  bytes: 1_000_000,
  bulk: 1_000,
};
/** Rows of bench.account for each peer. */
const ACCOUNTS = 1_000;

const MIXED = 'id, big, amount, score, name, note, active, at, doc, uid';

/** @param {boolean} smoke */
const sizes = (smoke) => (smoke ? SMOKE : FULL);

/**
 * What is written to has no autovacuum, which would hit one peer and spare the next, and is
 * unlogged, so that the client is measured and not the disk.
 *
 * @param {typeof FULL} size
 * @param {number} slots how many peers write
 */
function setUp(size, slots) {
  const list = [
    'drop schema if exists bench cascade',
    'create schema bench',
    `create table bench.point as select i as id, 'name of ' || i as name,
       i::int8 * 1000003007 as big, i % 2 = 0 as active,
       timestamptz '2024-01-01 00:00:00.25+00' + i * interval '1.5 s' as at,
       i * 0.125::float8 as score from generate_series(1, ${size.points}) i`,
    'alter table bench.point add primary key (id)',
    `create table bench.mixed as select i as id, i::int8 * 9007199254 as big,
       ((i::int8 * 37 % 1000000) / 100.0)::numeric(12, 2) as amount,
       case when i % 7 <> 0 then i * 0.25::float8 end as score,
       'customer ' || i || ' ' || left(md5(i::text), 20) as name,
       case when i % 20 = 0 then 'Größe und Maß, 東京 ' else 'a note in plain ascii ' end || i
         as note,
       i % 3 = 0 as active, timestamptz '2020-02-29 12:00:00.125+00' + i * interval '61 s' as at,
       jsonb_build_object('n', i, 'kind', 'k' || i % 5, 'tags',
         jsonb_build_array('a', 'b', i % 100)) as doc, md5(i::text)::uuid as uid
       from generate_series(1, ${size.mixed}) i`,
    'alter table bench.mixed add primary key (id)',
    `create table bench.people as select i as id, 'first' || i || ' last' || i % 977 as name,
       'user' || i || '@example.com' as email, i % 90 as age, i % 2 = 1 as active,
       i * 0.5::float8 as score from generate_series(1, ${size.people}) i`,
    `create table bench.docs as select i as id, (select json_agg(json_build_object('k', j, 'name',
       'item ' || i * j, 'price', j * 0.5, 'ok', j % 2 = 0, 'none', null)) from
       generate_series(1, 150) j) as doc from generate_series(1, ${size.docs}) i`,
    `create table bench.vectors as select array_agg(i) as ints,
       array_agg(i * 0.25::float8) as floats,
       array_agg('text ' || i) as texts from generate_series(1, ${size.vector}) i`,
    `create unlogged table bench.account (slot int4, id int4, balance int8 not null,
       primary key (slot, id)) with (fillfactor = 50, autovacuum_enabled = false)`,
    `insert into bench.account select s, i, 0 from generate_series(0, ${slots - 1}) s,
       generate_series(0, ${ACCOUNTS - 1}) i`,
  ];
  for (let slot = 0; slot < slots; slot++) {
    list.push(`create unlogged table bench.sink_${slot} (id int4, name text, score float8,
      at timestamptz) with (autovacuum_enabled = false)`);
  }
  for (const table of ['point', 'mixed', 'people', 'docs', 'vectors', 'account']) {
    list.push(`vacuum analyze bench.${table}`);
  }
  return list;
}

const TEAR_DOWN = 'drop schema if exists bench cascade';

/**
 * The statements of one peer. Row counts are literals, so that every client gets the same plan.
 *
 * @param {typeof FULL} size
 * @param {number} slot the peer's own place in the written tables
 * @returns {Record<string, {name: string, text: string}>}
 */
function statements(size, slot) {
  const sink = `bench.sink_${slot}`;
  const texts = {
    select1: 'select 1 as one',
    point: 'select id, name, big, active, at, score from bench.point where id = $1',
    rows1000: `select ${MIXED} from bench.mixed where id <= ${size.few}`,
    rows10000: `select ${MIXED} from bench.mixed where id <= ${size.middle}`,
    rows100000: `select ${MIXED} from bench.mixed`,
    people: 'select id, name, email, age, active, score from bench.people',
    docs: 'select id, doc from bench.docs',
    vectors: 'select ints, floats, texts from bench.vectors',
    echo: 'select $1::bytea as bytes',
    stream: `select ${MIXED} from bench.mixed, generate_series(1, ${size.streamed})`,
    insert: `insert into ${sink} (id, name, score, at) values ($1, $2, $3, $4)`,
    update: `update bench.account set balance = balance + 1 where slot = ${slot} and id = $1`,
    balance: `select balance from bench.account where slot = ${slot} and id = $1`,
    balances: `select sum(balance)::text as total from bench.account where slot = ${slot}`,
    empty: `truncate ${sink}`,
    stored: `select count(*)::text as count, coalesce(sum(id), 0)::text as total from ${sink}`,
    first: `select id, name, score, at from ${sink} where id < 100`,
    copy: `copy ${sink} (id, name, score, at) from stdin`,
    unnest: `insert into ${sink} (id, name, score, at)
      select * from unnest($1::int4[], $2::text[], $3::float8[], $4::timestamptz[])`,
  };
  const list = Object.entries(texts).map(([name, text]) => [name, { name: `bench_${name}`, text }]);
  return Object.fromEntries(list);
}

/** How many rows a statement of the op `rows` gives. */
function expected(size) {
  return {
    rows1000: size.few,
    rows10000: size.middle,
    rows100000: size.mixed,
    people: size.people,
    docs: size.docs,
    vectors: 1,
    stream: size.mixed * size.streamed,
  };
}

module.exports = { sizes, setUp, TEAR_DOWN, statements, expected, ACCOUNTS };
