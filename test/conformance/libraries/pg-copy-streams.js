// pg-copy-streams: rows in, out, from one table into another, and what the server or the source refuses in the middle.
'use strict';

const { Readable, Writable } = require('node:stream');
const { pipeline } = require('node:stream/promises');
const { from, to } = require('pg-copy-streams');

const reason = ({ code, message }) => code ?? message;

module.exports = async ({ pg, url }) => {
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const [client, other] = [await pool.connect(), await pool.connect()];
  await client.query(
    'create table item (id int primary key, name text); create table twin (like item)',
  );
  const lines = function* () {
    for (let n = 0; n < 20_000; n++) yield `${n}\tname ${n}\n`;
  };
  const incoming = client.query(from('copy item from stdin'));
  await pipeline(Readable.from(lines()), incoming);
  const count = async (table) =>
    (await client.query(`select count(*) from ${table}`)).rows[0].count;
  const loaded = [incoming.rowCount, await count('item')];
  let bytes = 0;
  const sink = () =>
    new Writable({
      write(chunk, _encoding, done) {
        bytes += chunk.length;
        setImmediate(done);
      },
    });
  const outgoing = client.query(to('copy item to stdout'));
  await pipeline(outgoing, sink());
  const binary = other.query(from('copy twin from stdin (format binary)'));
  await pipeline(client.query(to('copy item to stdout (format binary)')), binary);
  const duplicate = await pipeline(
    Readable.from(['1\tx\n']),
    client.query(from('copy item from stdin')),
  ).catch(reason);
  const broken = async function* () {
    yield '100000\tx\n';
    throw new Error('the source broke');
  };
  const given = await pipeline(broken, client.query(from('copy item from stdin'))).catch(reason);
  const refused = await pipeline(client.query(to('copy gone to stdout')), sink()).catch(reason);
  const counts = [await count('item'), await count('twin')];
  client.release();
  other.release();
  await pool.end();
  return { loaded, bytes, sent: outgoing.rowCount, counts, duplicate, given, refused };
};
