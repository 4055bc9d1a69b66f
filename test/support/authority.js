// A certificate authority for tests: any kind of certificate, revocation lists, and a server that shows what it is told.
'use strict';

const fs = require('node:fs');
const net = require('node:net');
const path = require('node:path');
const tls = require('node:tls');
const { runAsServer } = require('./server-account.js');
const { startServer } = require('./server.js');
const { waitFor } = require('./wait.js');

/** Arguments of `openssl req -newkey`. */
const KEYS = {
  ec: ['ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1'],
  ec384: ['ec', '-pkeyopt', 'ec_paramgen_curve:secp384r1'],
  ed25519: ['ed25519'],
  rsa: ['rsa:2048'],
  pss: ['rsa-pss', '-pkeyopt', 'rsa_keygen_bits:2048'],
};

const CONFIG = (folder) => `
[ca]
default_ca = own
[own]
database = ${folder}/index.txt
new_certs_dir = ${folder}
rand_serial = yes
unique_subject = no
policy = any
default_md = sha256
default_days = 2
default_crl_days = 2
crl_extensions = list
[list]
authorityKeyIdentifier = keyid
[any]
commonName = supplied
[req]
distinguished_name = name
[name]
`;

/** @typedef {{ cert: string, key: string }} Pair paths of PEM files */

class Authority {
  #folder;
  #config;

  /** Use {@link Authority.make}. @param {string} folder */
  constructor(folder) {
    this.#folder = folder;
    this.#config = path.join(folder, 'openssl.cnf');
    this.cert = path.join(folder, 'root.crt');
    this.key = path.join(folder, 'root.key');
  }

  /**
   * @param {string} parent a folder that the server's account may write
   * @param {string} name
   * @param {keyof typeof KEYS} [key]
   */
  static async make(parent, name, key = 'ec') {
    const folder = path.join(parent, name);
    await runAsServer('mkdir', [folder]);
    const authority = new Authority(folder);
    fs.writeFileSync(authority.#config, CONFIG(folder));
    await runAsServer('touch', [path.join(folder, 'index.txt')]);
    const subject = ['-subj', `/CN=authority ${name}`, '-days', '2'];
    const out = ['-keyout', authority.key, '-out', authority.cert];
    await authority.#req(
      ['-x509', ...subject, ...out, '-addext', 'basicConstraints=critical,CA:TRUE'],
      key,
    );
    return authority;
  }

  #req(args, key = 'ec') {
    const config = ['-config', this.#config];
    return runAsServer('openssl', ['req', ...config, '-nodes', '-newkey', ...KEYS[key], ...args]);
  }

  /** @param {string} name @param {string} ending */
  file(name, ending) {
    return path.join(this.#folder, `${name}.${ending}`);
  }

  /**
   * Issues a certificate.
   * @param {string} name of its files
   * @param {{ cn?: string, extensions?: string[], key?: keyof typeof KEYS, digest?: string, expired?: boolean, pss?: boolean }} [kind]
   * @returns {Promise<Pair>}
   */
  async issue(name, { cn = name, extensions = [], key = 'ec', digest, expired, pss } = {}) {
    const [csr, cert, own] = ['csr', 'crt', 'key'].map((ending) => this.file(name, ending));
    await this.#req(['-subj', `/CN=${cn}`, '-keyout', own, '-out', csr], key);
    const ext = this.file(name, 'ext');
    fs.writeFileSync(ext, `${['basicConstraints=CA:FALSE', ...extensions].join('\n')}\n`);
    const dates = expired ? ['-startdate', '20200101000000Z', '-enddate', '20200201000000Z'] : [];
    const md = digest === undefined ? [] : ['-md', digest];
    const signing = pss ? ['-sigopt', 'rsa_padding_mode:pss', '-sigopt', 'rsa_pss_saltlen:-1'] : [];
    await this.#ca(['-in', csr, '-out', cert, '-extfile', ext, ...dates, ...md, ...signing]);
    return { cert, key: own };
  }

  /**
   * A certificate without extensions that signs itself: OpenSSL 3.0 and older make it of version 1.
   * @param {string} name of its files @param {{ cn?: string, key?: keyof typeof KEYS }} [kind] @returns {Promise<Pair>}
   */
  async bare(name, { cn = name, key = 'ec' } = {}) {
    const [csr, cert, own] = ['csr', 'crt', 'key'].map((ending) => this.file(name, ending));
    await this.#req(['-subj', `/CN=${cn}`, '-keyout', own, '-out', csr], key);
    const signing = ['-signkey', own, '-days', '2', '-out', cert];
    await runAsServer('openssl', ['x509', '-req', '-in', csr, ...signing]);
    return { cert, key: own };
  }

  /** Another authority with a key of another kind. @param {keyof typeof KEYS} key */
  beside(key) {
    return Authority.make(this.#folder, `with-${key}`, key);
  }

  /** Issues an authority below this one. @param {string} name */
  async below(name) {
    const authority = await Authority.make(this.#folder, name);
    const csr = authority.file('root', 'csr');
    const existing = ['-new', '-key', authority.key, '-subj', `/CN=authority ${name}`, '-out', csr];
    await runAsServer('openssl', ['req', '-config', this.#config, ...existing]);
    const ext = authority.file('root', 'ext');
    fs.writeFileSync(ext, 'basicConstraints=critical,CA:TRUE\n');
    await this.#ca(['-in', csr, '-out', authority.cert, '-extfile', ext]);
    return authority;
  }

  #ca(args) {
    const own = ['-cert', this.cert, '-keyfile', this.key];
    return runAsServer('openssl', [
      'ca',
      '-batch',
      '-notext',
      '-config',
      this.#config,
      ...own,
      ...args,
    ]);
  }

  /** @param {Pair} pair */
  revoke({ cert }) {
    return this.#ca(['-revoke', cert]);
  }

  /** The list of what was revoked so far. @param {{ expired?: boolean }} [kind] @returns {Promise<string>} path */
  async list({ expired = false } = {}) {
    const file = this.file(expired ? 'expired' : 'list', 'crl');
    const dates = expired
      ? ['-crl_lastupdate', '20200101000000Z', '-crl_nextupdate', '20200201000000Z']
      : [];
    await this.#ca(['-gencrl', '-out', file, ...dates]);
    return file;
  }
}

/** The fingerprint of the certificate that a server shows. @param {number} port @returns {Promise<string>} */
function shown(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1');
    socket.once('error', reject);
    socket.write(Buffer.from([0, 0, 0, 8, 4, 210, 22, 47]));
    socket.once('data', () => {
      const secure = tls.connect({ socket, rejectUnauthorized: false }, () => {
        resolve(secure.getPeerX509Certificate().fingerprint256);
        secure.destroy();
      });
      secure.once('error', reject);
    });
  });
}

/**
 * Starts a server with TLS. `show` changes the certificate without a restart.
 * @param {{ version?: number, hba?: string[], conf?: Record<string, string> }} [options]
 */
async function startTlsServer({ version, hba = [], conf = {} } = {}) {
  const server = await startServer({ version, hba, conf, tls: true });
  try {
    const authority = await Authority.make(server.socketDir, 'main');
    const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1';
    const right = await authority.issue('localhost', { extensions: [names] });
    /** @param {Pair} pair @param {string[]} [chain] intermediates */
    const show = async ({ cert, key }, chain = []) => {
      const read = (file) => fs.readFileSync(file, 'utf8');
      fs.writeFileSync(server.tls.serverCert, [cert, ...chain].map(read).join(''));
      fs.writeFileSync(server.tls.serverKey, read(key));
      await server.sql('select pg_reload_conf()');
      const { X509Certificate } = require('node:crypto');
      const wanted = new X509Certificate(read(cert)).fingerprint256;
      await waitFor(async () => (await shown(server.port)) === wanted, {
        what: 'the certificate on the wire',
      });
    };
    // Client certificates of this authority are believed as well.
    fs.writeFileSync(server.tls.ca, fs.readFileSync(authority.cert));
    await show(right);
    return { server, authority, right, show };
  } catch (error) {
    await server.stop();
    throw error;
  }
}

module.exports = { Authority, startTlsServer };
