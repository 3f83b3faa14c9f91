#!/usr/bin/env node
/** `npm start`: brings the cluster up, with the demo. */
import { runUnderNode24 } from './bootstrap.mjs'

runUnderNode24('ops/up.ts', ['up', '--demo', ...process.argv.slice(2)])
