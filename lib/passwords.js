// Passwords from a function: the engine asks once for each connection whose server wants one.
'use strict';

const native = require('./native.js');

/** What the function is told. @typedef {{ host: string, port: number, user: string, database: string, refused: boolean }} Question */
/** @typedef {(host: string, question: Question) => unknown} Give */
/** @typedef {(number: number, question: string) => void} Ask */

/** Longest piece of a failure's message that goes into the error of the connection, in characters. */
const SHOWN = 200;

/**
 * The function that the engine calls. It never throws and answers in any case, unless the caller's function never does:
 * then the deadline of the connection ends the wait.
 * @param {Give} give
 * @returns {Ask}
 */
function answering(give) {
  return (number, question) => {
    answer(number, JSON.parse(question), give);
  };
}

/** @param {number} number @param {Question} question @param {Give} give */
async function answer(number, question, give) {
  /** @type {string | undefined} */
  let password;
  let problem = '';
  try {
    const given = await give(question.host, question);
    if (typeof given !== 'string') problem = 'it must return a string or a promise of one';
    else if (given.includes('\0')) problem = 'the password must not contain U+0000';
    else password = given;
  } catch (error) {
    problem = describe(error);
  }
  native.passwordAnswer(number, password, problem);
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
