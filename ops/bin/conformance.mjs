#!/usr/bin/env node
/** `npm run conformance`: runs Kubernetes' own conformance suite. */
import { runUnderNode24 } from './bootstrap.mjs'

runUnderNode24('test/conformance/main.ts', [...process.argv.slice(2)])
