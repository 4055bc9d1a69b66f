// Puts the JSON text given as argument into the secret DB_SECRET_ID of the Secrets Manager that the environment names.

import {
  CreateSecretCommand,
  PutSecretValueCommand,
  ResourceExistsException,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';

const [SecretString] = process.argv.slice(2);
const Name = process.env.DB_SECRET_ID;
if (!SecretString || !Name) {
  console.error('Usage: DB_SECRET_ID=NAME node create-secret.mjs \'{"host": …}\'');
  process.exit(2);
}
JSON.parse(SecretString);

const manager = new SecretsManagerClient({});
try {
  await manager.send(new CreateSecretCommand({ Name, SecretString }));
} catch (error) {
  if (!(error instanceof ResourceExistsException)) throw error;
  await manager.send(new PutSecretValueCommand({ SecretId: Name, SecretString }));
}
console.log(`stored ${Name}`);
