// The caller's functions that are asked while a connection is opened: for its password, and about the server's certificate.
'use strict';

const native = require('./native.js');

/** What a password function is told. @typedef {{ host: string, port: number, user: string, database: string, refused: boolean }} Question */
/** @typedef {(host: string, question: Question) => unknown} Give */
/** As in Node: what it returns or throws is why the certificate is refused. @typedef {(host: string, certificate: object) => unknown} Judge */
/** @typedef {(number: number, question: string) => void} Ask */

/** Longest piece of a failure's message that goes into the error of the connection, in characters. */
const SHOWN = 200;

/**
 * The function that the engine calls. It never throws and answers in any case, unless the caller's function never does:
 * then the deadline of the connection ends the wait.
 * @param {Give | undefined} give @param {Judge | undefined} judge
 * @returns {Ask}
 */
function answering(give, judge) {
  return (number, text) => {
    const question = JSON.parse(text);
    if (question.certificate !== undefined) look(number, question, judge);
    else answer(number, question, give);
  };
}

/** @param {number} number @param {Question} question @param {Give | undefined} give */
async function answer(number, question, give) {
  /** @type {string | undefined} */
  let password;
  let problem = '';
  try {
    const given = await give?.(question.host, question);
    if (typeof given !== 'string') problem = 'it must return a string or a promise of one';
    else if (given.includes('\0')) problem = 'the password must not contain U+0000';
    else password = given;
  } catch (error) {
    problem = describe(error);
  }
  native.passwordAnswer(number, password, `the password function failed: ${problem}`, false);
}

/** @param {number} number @param {{ host: string, certificate: string }} question @param {Judge | undefined} judge */
function look(number, { host, certificate }, judge) {
  /** @type {unknown} */
  let objection;
  try {
    // Slow to load, and rarely needed.
    const { X509Certificate } = require('node:crypto');
    const der = new X509Certificate(Buffer.from(certificate, 'base64'));
    objection = judge?.(host, der.toLegacyObject());
  } catch (error) {
    objection = error ?? 'it threw nothing';
  }
  const problem = `ssl.checkServerIdentity refused the certificate: ${describe(objection)}`;
  native.passwordAnswer(number, objection ? undefined : '', problem, true);
}

/** @param {unknown} error whatever was thrown */
function describe(error) {
  try {
    return String(error).slice(0, SHOWN);
  } catch {
    return 'it threw something that cannot be shown';
  }
}

module.exports = { answering };
