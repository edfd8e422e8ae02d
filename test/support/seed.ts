// Property tests draw the same inputs every time, so that what fails is the change and not the day. FUZZ_SEED draws others.

import fc from 'fast-check';

fc.configureGlobal({ seed: Number(process.env.FUZZ_SEED ?? 1) });
