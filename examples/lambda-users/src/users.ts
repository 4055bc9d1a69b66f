// The statements of the service. The columns hold UTC, whatever time zone server and process have.

import { randomUUID } from 'node:crypto';
import { query, read } from './db.js';
import type { NewUser, User } from './models.js';

type Row = Omit<User, 'created_at' | 'updated_at'> & { created_at: Date; updated_at: Date };

const COLUMNS = `id, name, email, created_at at time zone 'UTC' as created_at,
  updated_at at time zone 'UTC' as updated_at`;

const toUser = ({ created_at, updated_at, ...rest }: Row): User => ({
  ...rest,
  created_at: created_at.toISOString(),
  updated_at: updated_at.toISOString(),
});

/** At most 100, newest first. */
export async function listUsers(): Promise<User[]> {
  const list = `select ${COLUMNS} from users order by users.created_at desc, id limit 100`;
  return (await read<Row>(list)).map(toUser);
}

export async function findUser(id: string): Promise<User | undefined> {
  const [row] = await read<Row>(`select ${COLUMNS} from users where id = $1`, [id]);
  return row && toUser(row);
}

export async function createUser({ name, email }: NewUser): Promise<NewUser & { id: string }> {
  const id = randomUUID();
  const insert = `insert into users (id, name, email, created_at, updated_at)
    values ($1, $2, $3, now() at time zone 'UTC', now() at time zone 'UTC')`;
  await query(insert, [id, name, email]);
  return { id, name, email };
}
