#!/usr/bin/env node
/** `npm run bare`: tries both commands on a bare Debian. */
import { runUnderNode24 } from './bootstrap.mjs'

runUnderNode24('ops/bare/bare.ts', [...process.argv.slice(2)])
