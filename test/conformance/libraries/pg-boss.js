// pg-boss: its migrations, a job sent, fetched and completed.
'use strict';

const PgBoss = require('pg-boss');

module.exports = async ({ pg, url, isInjected }) => {
  const pool = new pg.Pool({ connectionString: url });
  const db = { executeSql: (text, values) => pool.query(text, values) };
  const boss = new PgBoss(
    isInjected ? { db, schedule: false } : { connectionString: url, schedule: false },
  );
  boss.on('error', (error) => {
    throw error;
  });
  await boss.start();
  await boss.createQueue('mail');
  await boss.send('mail', { to: 'a' });
  const [job] = await boss.fetch('mail');
  await boss.complete('mail', job.id, { done: true });
  const { state, output } = await boss.getJobById('mail', job.id);
  await boss.stop({ graceful: false, wait: true });
  await pool.end();
  return { data: job.data, state, output };
};
