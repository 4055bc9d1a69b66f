// What programs load of the module beside its main export: deep imports, names of ES modules, a second thread.
'use strict';

const { Worker } = require('node:worker_threads');

const NAMES = [
  'Client',
  'Pool',
  'types',
  'Query',
  'DatabaseError',
  'escapeIdentifier',
  'escapeLiteral',
  'Result',
];
const MORE_NAMES = ['TypeOverrides', 'Connection', 'defaults'];
const DEEP = [
  'client',
  'connection',
  'connection-parameters',
  'defaults',
  'index',
  'query',
  'result',
  'type-overrides',
  'utils',
];

const kinds = (module) => [
  typeof module,
  Object.keys(module).filter((name) => name === 'prepareValue'),
];

module.exports = async ({ url }) => {
  const deep = DEEP.flatMap((name) => [
    [name, kinds(require(`pg/lib/${name}`))],
    [`${name}.js`, require(`pg/lib/${name}.js`) === require(`pg/lib/${name}`)],
  ]);
  const { Client, Connection } = require('pg');
  const isSame = [require('pg/lib/client') === Client, require('pg/lib/connection') === Connection];
  const Result = require('pg/lib/result.js');
  const result = new Result();
  result.addFields([{ name: 'a', dataTypeID: 23, format: 'text' }]);
  result.addRow(result.parseRow(['7']));
  result.addCommandComplete({ text: 'SELECT 1' });
  const { prepareValue } = require('pg/lib/utils');
  const imported = await import('pg');
  const names = [...NAMES, ...MORE_NAMES].map((name) => [
    name,
    imported[name] === imported.default[name],
  ]);
  const program = `
    const { parentPort, workerData } = require('node:worker_threads');
    const { Client } = require('pg');
    const client = new Client(workerData);
    client.connect().then(() => client.query('select 1 as a')).then(({ rows }) => {
      parentPort.postMessage(rows);
      return client.end();
    });`;
  const answered = await new Promise((resolve, reject) => {
    const worker = new Worker(program, { eval: true, workerData: url });
    worker.once('message', resolve).once('error', reject);
  });
  return {
    deep,
    isSame,
    rows: result.rows,
    command: [result.command, result.rowCount],
    prepared: [[1, null], { a: 1 }, true].map(prepareValue),
    names,
    version: typeof require('pg/package.json').version,
    answered,
  };
};
