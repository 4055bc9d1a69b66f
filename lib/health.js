// pg-berth/health: checks, a monitor and query figures, for any driver that Kysely can use.
'use strict';

const { checkDatabaseHealth, performHealthCheck } = require('./health-check.js');
const { HealthMonitor } = require('./health-monitor.js');
const { getMetrics, hasDatabaseMetrics } = require('./metrics.js');

module.exports = {
  HealthMonitor,
  checkDatabaseHealth,
  getMetrics,
  hasDatabaseMetrics,
  performHealthCheck,
};
