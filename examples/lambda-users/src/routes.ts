// Which path and method does what.

import { HttpError, type Task } from './errors.js';
import type { Request } from './events.js';
import { readId, readNewUser } from './models.js';
import { createUser, findUser, listUsers } from './users.js';

export interface Answer {
  status: number;
  body?: unknown;
}

export interface Route extends Task {
  run: () => Promise<Answer>;
}

const NO_CONTENT: Route = { failure: '', writes: false, run: async () => ({ status: 204 }) };

/** @throws {HttpError} 400, 404 or 405 */
export function routeOf({ method, path, body }: Request): Route {
  const routes = routesOf(segmentsOf(path), body);
  if (routes === undefined) throw new HttpError(404, 'ROUTE_NOT_FOUND', `Route ${path} not found`);
  const route = Object.hasOwn(routes, method) ? routes[method] : undefined;
  if (route !== undefined) return route;
  const headers = { Allow: Object.keys(routes).join(', ') };
  const text = `Method ${method} not allowed`;
  throw new HttpError(405, 'METHOD_NOT_ALLOWED', text, { headers });
}

function routesOf(
  [resource, id, ...more]: string[],
  body: string | undefined,
): Record<string, Route> | undefined {
  if (resource !== 'users' || more.length > 0) return undefined;
  if (id === undefined) {
    return {
      GET: { failure: 'Failed to fetch users', writes: false, run: list },
      POST: { failure: 'Failed to create user', writes: true, run: () => create(body) },
      OPTIONS: NO_CONTENT,
    };
  }
  return {
    GET: { failure: 'Failed to fetch user', writes: false, run: () => show(id) },
    OPTIONS: NO_CONTENT,
  };
}

/** A query string is ignored, a slash at the end too. */
function segmentsOf(path: string): string[] {
  const [plain = ''] = path.split('?');
  try {
    return plain.replace(/^\//, '').replace(/\/$/, '').split('/').map(decodeURIComponent);
  } catch {
    throw new HttpError(400, 'MALFORMED_PATH', 'Path is not valid percent-encoding');
  }
}

async function list(): Promise<Answer> {
  return { status: 200, body: { users: await listUsers() } };
}

async function show(id: string): Promise<Answer> {
  const user = await findUser(readId(id));
  if (user === undefined) throw new HttpError(404, 'NOT_FOUND', 'User not found');
  return { status: 200, body: { user } };
}

async function create(body: string | undefined): Promise<Answer> {
  const user = await createUser(readNewUser(parse(body)));
  return { status: 201, body: { message: 'User created successfully', user } };
}

function parse(body: string | undefined): unknown {
  try {
    return JSON.parse(body ?? '');
  } catch {
    throw new HttpError(400, 'MALFORMED_JSON', 'Request body is not valid JSON');
  }
}
