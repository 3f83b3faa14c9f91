/** One question to this machine's API server, as the cluster's administrator. */
import { readFileSync } from 'node:fs'
import { request as httpsRequest } from 'node:https'
import type { ClusterConfig } from './home.ts'
import { pkiFile } from './pki/pki.ts'

/** Asks the API server as the administrator; the body as text. */
export const ask = (
  home: string,
  config: ClusterConfig,
  path: string,
  accept = 'application/json'
): Promise<{ readonly status: number; readonly body: string }> =>
  new Promise((resolve, reject) => {
    const [ca, cert, key] = ['ca.crt', 'admin.crt', 'admin.key'].map((name) => readFileSync(pkiFile(home, name)))
    const call = httpsRequest(
      {
        host: '127.0.0.1',
        port: config.apiPort,
        path,
        ca,
        cert,
        key,
        headers: { accept, 'user-agent': 'reckon' },
        timeout: 5_000,
        agent: false
      },
      (response) => {
        let body = ''
        response.setEncoding('utf8')
        response.on('data', (chunk: string) => (body += chunk))
        response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
        response.on('error', reject)
      }
    )
    call.on('timeout', () => call.destroy(new Error('the API server does not answer')))
    call.on('error', reject)
    call.end()
  })
