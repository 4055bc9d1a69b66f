// Test certificates made by openssl: an authority, a server for localhost, a client for one user.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { runAsServer } = require('./server-account.js');

/**
 * @typedef {{ ca: string, serverCert: string, serverKey: string, clientCert: string, clientKey: string }} Certificates
 * paths of PEM files
 */

// elliptic curves: a key takes milliseconds, an RSA key up to half a second
const NEW_KEY = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];

/** Makes a key and a certificate signed by the authority in `folder`. */
async function issue(folder, name, subject, extension) {
  const file = (ending) => path.join(folder, `${name}.${ending}`);
  const request = ['req', ...NEW_KEY, '-subj', subject];
  await runAsServer('openssl', [...request, '-keyout', file('key'), '-out', file('csr')]);
  fs.writeFileSync(file('ext'), extension);
  const authority = ['-CA', path.join(folder, 'ca.crt'), '-CAkey', path.join(folder, 'ca.key')];
  const signed = ['-CAcreateserial', '-days', '2', '-extfile', file('ext')];
  const args = ['x509', '-req', '-in', file('csr'), ...authority, ...signed, '-out', file('crt')];
  await runAsServer('openssl', args);
}

/**
 * @param {string} folder an existing folder that the server's account owns
 * @param {{ clientUser?: string }} [options] the role that the client certificate names
 * @returns {Promise<Certificates>}
 */
async function makeCertificates(folder, { clientUser = 'postgres' } = {}) {
  const file = (name) => path.join(folder, name);
  const root = ['req', '-x509', ...NEW_KEY, '-days', '2'];
  const names = [
    '-subj',
    '/CN=pg-berth test authority',
    '-keyout',
    file('ca.key'),
    '-out',
    file('ca.crt'),
  ];
  await runAsServer('openssl', [...root, ...names]);
  await issue(folder, 'server', '/CN=localhost', 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  await issue(folder, 'client', `/CN=${clientUser}`, 'extendedKeyUsage=clientAuth\n');
  return {
    ca: file('ca.crt'),
    serverCert: file('server.crt'),
    serverKey: file('server.key'),
    clientCert: file('client.crt'),
    clientKey: file('client.key'),
  };
}

module.exports = { makeCertificates };
