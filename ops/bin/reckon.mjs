#!/usr/bin/env node
/** `npx reckon`: the command line. */
import { runUnderNode24 } from './bootstrap.mjs'

runUnderNode24('ops/main.ts', [...process.argv.slice(2)])
