// However many wait for one signal, it has one listener, and each of them hears once.
'use strict';

const assert = require('node:assert/strict');
const { getEventListeners } = require('node:events');
const { test } = require('node:test');
const { hearAbort } = require('../../lib/abort-hearers.js');
const { uncaughtIn } = require('../support/uncaught.js');

/** A signal, what fires it, and how many listen to it. */
function signalOf() {
  const controller = new AbortController();
  const { signal } = controller;
  const listeners = () => getEventListeners(signal, 'abort').length;
  return { signal, fire: () => controller.abort(), listeners };
}

test('all who wait share one listener, and hear in the order in which they came', () => {
  const { signal, fire, listeners } = signalOf();
  const heard = [];
  for (let at = 0; at < 5; at++) hearAbort(signal, () => heard.push(at));
  assert.equal(listeners(), 1);
  fire();
  assert.deepEqual(heard, [0, 1, 2, 3, 4]);
  assert.equal(listeners(), 0);
});

test('who has left hears nothing, and the last one takes the listener along', () => {
  const { signal, fire, listeners } = signalOf();
  const heard = [];
  const [first, second] = ['first', 'second'].map((name) =>
    hearAbort(signal, () => heard.push(name)),
  );
  first();
  first();
  assert.equal(listeners(), 1);
  const third = hearAbort(signal, () => heard.push('third'));
  second();
  third();
  assert.equal(listeners(), 0);
  hearAbort(signal, () => heard.push('fourth'));
  third();
  assert.equal(listeners(), 1, 'leaving again takes nothing from others');
  fire();
  assert.deepEqual(heard, ['fourth']);
});

test('one that hears may make others leave, and come itself', () => {
  const { signal, fire, listeners } = signalOf();
  const heard = [];
  hearAbort(signal, () => {
    heard.push('first');
    leave();
    hearAbort(signal, () => heard.push('too late'));
  });
  const leave = hearAbort(signal, () => heard.push('left'));
  hearAbort(signal, () => heard.push('last'));
  fire();
  assert.deepEqual(heard, ['first', 'last']);
  assert.ok(listeners() <= 1);
});

test('signals are apart, and one that has fired is not heard of', () => {
  const [one, other] = [signalOf(), signalOf()];
  const heard = [];
  hearAbort(one.signal, () => heard.push('one'));
  hearAbort(other.signal, () => heard.push('other'));
  other.fire();
  hearAbort(other.signal, () => heard.push('again'));
  assert.deepEqual(heard, ['other']);
  one.fire();
  assert.deepEqual(heard, ['other', 'one']);
});

test('what one throws is uncaught, and the others hear all the same', async () => {
  const { signal, fire } = signalOf();
  const heard = [];
  const thrown = await uncaughtIn(async () => {
    hearAbort(signal, () => {
      throw new Error('thrown by the first');
    });
    hearAbort(signal, () => heard.push('second'));
    fire();
    assert.deepEqual(heard, ['second']);
    await new Promise((resolve) => setImmediate(resolve));
  });
  assert.deepEqual(
    thrown.map(({ message }) => message),
    ['thrown by the first'],
  );
});
