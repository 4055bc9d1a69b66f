// A process of the predecessor's, to be frozen: takes its lock and loses the way to give it back, as measured for rule SC-7.
'use strict';

const { LOCK, OriginalMember } = require('./original-fleet.js');

async function main() {
  const options = JSON.parse(process.argv[2] ?? '{}');
  const member = await new OriginalMember(options).connect();
  const { client } = member;
  if (!(await member.tryLock())) throw new Error('the lock is not free');
  await client.query('begin');
  await client.query('select 1/0').catch(() => {});
  const unlock = `select pg_advisory_unlock(${LOCK}, hashtext($1))`;
  const refused = await client.query(unlock, [options.service]).catch(({ code }) => code);
  await client.query('rollback');
  process.stdout.write(`${JSON.stringify({ pid: member.pid, refused })}\n`);
}

main();
process.stdin.resume().on('end', () => process.exit());
