#!/usr/bin/env node
/** `npm test`: runs every test. */
import { runUnderNode24 } from './bootstrap.mjs'

runUnderNode24('test/run.ts', [...process.argv.slice(2)])
