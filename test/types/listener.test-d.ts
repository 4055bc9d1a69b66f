// The declared types of createListener, checked by tsc alone.

import { createListener, type Gap, type Listener, type Notification } from '../../types/index.js';

const listener: Listener = createListener({ host: 'db', mode: 'rw' });
createListener('postgres://localhost/app');
createListener(process.env.DATABASE_URL);

// @ts-expect-error a listener has one connection
createListener({ poolSize: 3 });

const stop: Promise<() => Promise<void>> = listener.listen('jobs', ({ payload, processId }) => {
  payload.trim();
  processId.toFixed();
});
void stop;
listener.on('gap', (gap: Gap) => void gap.since.getTime());
listener.on('notification', (notification: Notification) => void notification.channel);
listener.on('error', (error) => void error.message);

// @ts-expect-error no such event
listener.on('nothing', () => {});
