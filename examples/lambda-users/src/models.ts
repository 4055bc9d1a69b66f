// What the service stores and gives out, and what it demands of a request.

import { isEmail } from './email.js';
import { HttpError } from './errors.js';

/** A user as the API shows it; the times are ISO 8601 with `Z`. */
export interface User {
  id: string;
  name: string;
  email: string;
  created_at: string;
  updated_at: string;
}

export interface NewUser {
  name: string;
  email: string;
}

interface Complaint {
  property: string;
  constraints: Record<string, string>;
}

const NAME_MIN = 2;
const NAME_MAX = 50;
const EMAIL_MAX = 100;
const UUID = /^[\da-f]{8}-[\da-f]{4}-[\da-f]{4}-[\da-f]{4}-[\da-f]{12}$/i;

/** Characters as the database counts them: an emoji is one. */
const lengthOf = (text: string) => [...text].length;

/** @throws {HttpError} 400 with what is wrong with each field */
export function readNewUser(body: unknown): NewUser {
  const isFields = typeof body === 'object' && body !== null && !Array.isArray(body);
  const { name, email } = (isFields ? body : {}) as Record<string, unknown>;
  const complaints = [
    { property: 'name', constraints: nameProblems(name) },
    { property: 'email', constraints: emailProblems(email) },
  ].filter(({ constraints }) => Object.keys(constraints).length > 0);
  if (complaints.length > 0) throw invalid(complaints);
  return { name: name as string, email: email as string };
}

/** @throws {HttpError} 400 */
export function readId(id: string): string {
  if (UUID.test(id)) return id;
  throw invalid([{ property: 'id', constraints: { isUuid: 'id must be a UUID' } }]);
}

function nameProblems(name: unknown): Record<string, string> {
  const least = `name must be longer than or equal to ${NAME_MIN}`;
  const most = `shorter than or equal to ${NAME_MAX} characters`;
  if (typeof name !== 'string') {
    const isAbsent = name === undefined || name === null;
    return {
      isLength: isAbsent ? `${least} characters` : `${least} and ${most}`,
      isString: 'name must be a string',
    };
  }
  const length = lengthOf(name);
  return {
    ...(length < NAME_MIN && { isLength: `${least} characters` }),
    ...(length > NAME_MAX && { isLength: `name must be ${most}` }),
    ...nulProblem('name', name),
  };
}

function emailProblems(email: unknown): Record<string, string> {
  const isText = typeof email === 'string';
  return {
    ...(!(isText && isEmail(email)) && { isEmail: 'email must be an email' }),
    ...(isText &&
      lengthOf(email) > EMAIL_MAX && {
        maxLength: `email must be shorter than or equal to ${EMAIL_MAX} characters`,
      }),
    ...(isText && nulProblem('email', email)),
  };
}

/** The server refuses U+0000 in text. */
function nulProblem(property: string, text: string): Record<string, string> {
  return text.includes('\0') ? { noNul: `${property} must not contain NUL` } : {};
}

function invalid(data: Complaint[]): HttpError {
  return new HttpError(400, 'VALIDATION_ERROR', 'Validation failed', { data });
}
