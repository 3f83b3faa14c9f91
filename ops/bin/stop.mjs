#!/usr/bin/env node
/** `npm stop`: takes the cluster down; its history stays. */
import { runUnderNode24 } from './bootstrap.mjs'

runUnderNode24('ops/up.ts', ['down', ...process.argv.slice(2)])
