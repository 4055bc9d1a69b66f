// The option `ssl` in the form of Node's TLS, as `pg` takes it.

import type { PeerCertificate } from 'node:tls';

/** PEM text or its bytes, one or several. */
export type Pem = string | Uint8Array | readonly (string | Uint8Array)[];

/**
 * The members of Node's `tls.connect` options that have a meaning here; any other is refused.
 *
 * The server's certificate must be signed by one of `ca` and must name the host, unless `rejectUnauthorized` is false.
 * A self-signed certificate in `ca` is trusted as it is.
 */
export interface SslOptions {
  /** Trusted roots. Default: those that Node trusts. */
  ca?: Pem | null | undefined;
  /** Shown when the server asks who we are, with intermediates behind it. */
  cert?: Pem | null | undefined;
  /** Private key of `cert`, one if it is an array: PKCS#8, PKCS#1 or SEC1, encrypted PKCS#8 with `passphrase`. */
  key?:
    | string
    | Uint8Array
    | readonly (
        | string
        | Uint8Array
        | { pem: string | Uint8Array; passphrase?: string | undefined }
      )[]
    | null
    | undefined;
  passphrase?: string | null | undefined;
  /** Revocation lists; with one, each certificate of a chain needs a list of its issuer that clears it. */
  crl?: Pem | null | undefined;
  /** false: any certificate is believed. That keeps out listeners, not an attacker in the middle. Default true. */
  rejectUnauthorized?: boolean | null | undefined;
  /** Name to send and to check in place of the host's; empty: none is sent. */
  servername?: string | null | undefined;
  /** `'TLSv1.2'` or `'TLSv1.3'`; older versions are not spoken. */
  minVersion?: string | null | undefined;
  maxVersion?: string | null | undefined;
  /**
   * Looks at the certificate of each connection in place of the check of names, once its chain was checked, and before
   * anything is said on the connection. As in Node, an Error it returns or throws refuses the certificate. It cannot run
   * while `querySync` blocks.
   */
  checkServerIdentity?:
    | ((host: string, certificate: PeerCertificate) => Error | undefined)
    | null
    | undefined;
  /** false: the certificate may name another host; who signed it is still checked. Default true. */
  checkName?: boolean | null | undefined;
}
