// What check-the-cache does with the suite: its own server as the origin, its own client through the nodes, and its own rules for what
// has passed. See there.

import http from 'node:http'
import fs from 'node:fs'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [suite, originPort, host, ...nodes] = process.argv.slice(2)
const load = file => import(pathToFileURL(path.join(suite, file)))
// The edition of the suite's own repository has its engine in a folder, and its client can tell interim responses by undici.
const isCurrent = fs.existsSync(path.join(suite, 'test-engine'))
const engine = file => load(isCurrent ? `test-engine/${file}` : file)

// Its origin. The module that the suite starts listens on every address of the machine; this one on loopback alone.
const { default: handleConfig } = await engine('server/handle-config.mjs')
const { default: handleState } = await engine('server/handle-state.mjs')
const { default: handleTest } = await engine('server/handle-test.mjs')
const log = console.log
const origin = http.createServer((request, response) => {
  const [, kind, ...segments] = new URL(request.url, 'http://origin.invalid').pathname.split('/')
  const handle = { config: handleConfig, state: handleState, test: handleTest }[kind]
  if (handle) return handle(segments, request, response)
  response.writeHead(404).end()
})
await new Promise(resolve => origin.listen(Number(originPort), '127.0.0.1', resolve))

// Its client, through one node after the other.
const send = isCurrent ? await byUndici() : await byNodeFetch()
let turn = 0
const through = (url, init = {}) => send(url.replace('http://zone', nodes[turn++ % nodes.length]), init)
globalThis.fetch = through

async function byNodeFetch () {
  const { default: fetch } = await load('node_modules/node-fetch/lib/index.mjs')
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256 })
  return (url, init) => fetch(url, { ...init, agent, headers: [...(init.headers ?? []), ['Host', host]] })
}

async function byUndici () {
  const { default: undici } = await load('node_modules/undici/index.js')
  // Its fetch drops a Host that it is given, so its dispatcher says it.
  const saying = dispatch => (options, handler) => dispatch({ ...options, headers: { ...options.headers, host } }, handler)
  undici.setGlobalDispatcher(new undici.Agent({ connections: 256 }).compose(saying))
  return undici.fetch
}

const { default: suites } = await load('tests/index.mjs')
const { runTests, getResults } = await engine('client/runner.mjs')
console.log = () => {}
await runTests(suites, through, false, 'http://zone', Number(process.env.CACHE_TESTS_AT_ONCE ?? 25))
console.log = log
const results = getResults()
if (process.env.CACHE_TESTS_RESULTS) fs.writeFileSync(process.env.CACHE_TESTS_RESULTS, JSON.stringify(results, null, 2))

// A test counts if it came to its point: not if what it stands on does not hold, nor if its preparation failed.
const tests = suites.flatMap(({ tests }) => tests).filter(({ id }) => id in results)
const known = new Map(tests.map(test => [test.id, test]))
const judge = test => {
  const result = results[test.id]
  if ((test.depends_on ?? []).some(id => known.has(id) && judge(known.get(id)) !== 'passed')) return 'not reached'
  if (result === true) return 'passed'
  return result[0] === 'Assertion' ? 'failed' : 'inconclusive'
}
let missed = 0
for (const kind of ['required', 'optimal', 'check']) {
  const those = tests.filter(test => (test.kind ?? 'required') === kind)
  const by = outcome => those.filter(test => judge(test) === outcome)
  log(`${kind}: ${by('passed').length} passed of ${those.length}, ${by('failed').length} failed, ` +
    `${by('inconclusive').length} inconclusive, ${by('not reached').length} not reached`)
  for (const outcome of ['failed', 'inconclusive', 'not reached']) {
    for (const { id } of by(outcome)) log(`  ${outcome}: ${id}${results[id] === true ? '' : `: ${results[id][1]}`}`)
  }
  if (kind === 'required') missed = those.length - by('passed').length
}
// What the suite asks for and the RFC does not: the reasons are in docs/cache.md.
const against = new Set((process.env.CACHE_TESTS_EXPECTED ?? '').split(/\s+/).filter(Boolean))
const unexpected = tests.filter(test => (test.kind ?? 'required') === 'required' && judge(test) !== 'passed' && !against.has(test.id))
log(`${missed} required tests have not passed, ${unexpected.length} of them without a known reason`)
process.exit(unexpected.length > 0 ? 1 : 0)
