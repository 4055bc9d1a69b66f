// The logger that health, resilience, shutdown and debug take.

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal';

/** A level that is missing is dropped, and a logger that throws disturbs nothing. */
export type Logger = {
  [level in LogLevel]?: (message: string, ...args: unknown[]) => void;
};
