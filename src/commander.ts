// The commander package, loaded as the CommonJS that it is: through its ES module face, Node would analyse its
// source for exports at every start, which takes 10 ms.

import { createRequire } from 'node:module';
import type * as commander from 'commander';

const loaded: typeof commander = createRequire(import.meta.url)('commander');

export type Command = commander.Command;
export const { Command, CommanderError, InvalidArgumentError, Option } = loaded;
