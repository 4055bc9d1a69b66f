// Installs what the tests need, before the first of them: the time they have is for testing.
import { program } from './moto.mjs';

await program();
