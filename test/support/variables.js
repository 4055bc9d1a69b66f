// The variables of this process, changed for a while.
'use strict';

/**
 * Sets variables while `work` runs, up to its end if that is a promise; one that is `undefined` is taken away.
 * @template T
 * @param {Record<string, string | undefined>} variables
 * @param {() => T} work
 * @returns {T}
 */
function withVariables(variables, work) {
  const old = Object.fromEntries(Object.keys(variables).map((name) => [name, process.env[name]]));
  set(variables);
  let isOver = true;
  try {
    const result = work();
    if (!(result instanceof Promise)) return result;
    isOver = false;
    return /** @type {any} */ (result.finally(() => set(old)));
  } finally {
    if (isOver) set(old);
  }
}

function set(variables) {
  for (const [name, value] of Object.entries(variables)) {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  }
}

module.exports = { withVariables };
