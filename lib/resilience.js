// pg-berth/resilience: retry and circuit breaker, for any driver.
'use strict';

const { CircuitBreaker, CircuitBreakerError } = require('./breaker.js');
const { createRetryWrapper, withRetry } = require('./retry.js');
const { isTransientError } = require('./transient.js');

module.exports = {
  CircuitBreaker,
  CircuitBreakerError,
  createRetryWrapper,
  isTransientError,
  withRetry,
};
