// What this package asks catalogs with is the server's own, whatever operators and functions somebody has put into the path.
'use strict';

const assert = require('node:assert/strict');
const { execFile } = require('node:child_process');
const path = require('node:path');
const { Client } = require('pg');
const { testDatabase } = require('../support/pools.js');
const { test } = require('../support/timed-test.js');

/**
 * Operators for all pairs of plain types, those that the server has itself and those that it makes by a cast. Whoever may
 * create in one schema of the path could have these; each call of one is counted.
 */
const TRAPS = `
  create schema evil;
  create sequence evil.hits;
  grant usage on schema evil to public;
  grant usage on sequence evil.hits to public;
  do $trap$
  declare
    types text[] := '{text,name,oid,int2,int4,int8,numeric,float8,timestamptz,interval,pg_lsn}';
    own text; l text; r text; o text; number int := 0;
  begin
    foreach o in array '{*,-,=,<>,<,<=,>,>=,~~}'::text[] loop
      foreach l in array types loop
        foreach r in array types loop
          number := number + 1;
          select oprresult::regtype into own from pg_operator where oprname = o
            and oprleft = l::regtype and oprright = r::regtype;
          own := coalesce(own, case when o in ('*', '-') then l else 'bool' end);
          execute format('create function evil.trap_%s(%s, %s) returns %s language plpgsql as
            $body$ begin perform pg_catalog.nextval(''evil.hits''); return null; end $body$', number, l, r, own);
          execute format('create operator evil.%s (leftarg = %s, rightarg = %s, function = evil.trap_%s)', o, l, r, number);
        end loop;
      end loop;
    end loop;
  end $trap$;
  create table marker (id uuid primary key, committed boolean not null default true, at timestamptz not null default now());
  create table note (id int8, text text);`;

const db = testDatabase(TRAPS);
const BIN = path.join(__dirname, '../../bin/pg-berth.js');
const HOSTILE = '-c search_path=evil,pg_catalog,public';

/** How often a trap was stepped into. */
async function hits() {
  const [{ n }] = await db.sql(
    'select case when is_called then last_value else 0 end::int as n from evil.hits',
  );
  return n;
}

test('sec_q06: the traps work', async (t) => {
  const pool = db.openPool(t, { options: HOSTILE, commitResolution: 'off' });
  await pool.query('select 1.5 * 2, 2::oid = 2');
  assert.equal(await hits(), 2);
  await db.sql('alter sequence evil.hits restart');
});

test('sec_q06: transactions, their outcome and single statements use no operator of the path', async (t) => {
  const proxy = await db.openProxy(t);
  const { port } = proxy;
  const pool = db.openPool(t, { connectionString: undefined, ...target(port), options: HOSTILE });
  const { lsn } = await pool.transaction((tx) => tx.query('insert into note values (1)'), {
    lsn: true,
  });
  assert.match(lsn, /^[0-9A-F]+\/[0-9A-F]+$/);
  await pool.query('insert into note values (2)', [], { exactlyOnce: true, after: lsn });
  assert.equal(await pool.insertMany('note', [{ id: 3n, text: 'x' }]), 1);
  proxy.cutAt({ direction: 'toClient', text: 'COMMIT', before: true });
  await pool.transaction((tx) => tx.query('insert into note values (4)'));
  assert.deepEqual(
    (await db.sql('select id::int from note order by id')).map(({ id }) => id),
    [1, 2, 3, 4],
  );
  assert.equal(await hits(), 0);
});

test('sec_q06: markers are pruned by the operators of the server', async (t) => {
  const markers = { commitResolution: 'marker', commitMarkerTable: ['public', 'marker'] };
  const pool = db.openPool(t, { options: HOSTILE, ...markers });
  await pool.transaction((tx) => tx.query('insert into note values (5)'));
  await db.sql(`update marker set at = now() - interval '1 hour'`);
  assert.equal(await pool.pruneCommitMarkers(60_000), 1);
  assert.equal(await hits(), 0);
});

test('sec_q06: the command looks at a server without a trap of it', async (t) => {
  const holder = new Client({ connectionString: db.url, application_name: 's=a;i=b;e=1;g=c' });
  await holder.connect();
  t.after(() => holder.end());
  const url = `${db.url}${db.url.includes('?') ? '&' : '?'}options=${encodeURIComponent(HOSTILE)}`;
  for (const command of ['doctor', 'leases']) {
    const args = [BIN, command, '--json', '--url', url];
    const found = await new Promise((resolve, reject) => {
      execFile(process.execPath, args, (error, stdout, stderr) => {
        if (error?.code === 2) reject(new Error(stderr));
        else resolve(JSON.parse(stdout));
      });
    });
    const [first] = /** @type {any} */ (found);
    assert.match(command === 'doctor' ? first.found : first.service, /^(PostgreSQL \d+|a$)/);
  }
  assert.equal(await hits(), 0);
});

/** The database behind a port of this machine. @param {number} port */
function target(port) {
  const { username: user, password, pathname } = new URL(db.url);
  return {
    ...{ host: '127.0.0.1', port, user, database: pathname.slice(1), sslmode: 'disable' },
    ...(password && { password }),
  };
}
