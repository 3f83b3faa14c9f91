/** What a client may get wrong, one by one: a 4xx in upstream's words, never a 5xx. Codes and words were asked of kube-apiserver 1.34. */
import { at, setAt } from '#test/support/kinds.ts'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { KubeObject } from '#events/KubeObject.ts'
import { startTestServer, type TestServer } from '#test/support/server.ts'

type Case = readonly [
  what: string,
  method: string,
  path: string,
  body: string | undefined,
  code: number,
  message: RegExp,
  contentType?: string
]

const N = '/api/v1/namespaces/default'
const MAPS = `${N}/configmaps`
const YAML = 'application/yaml'
const MERGE = 'application/merge-patch+json'
const STRATEGIC = 'application/strategic-merge-patch+json'
const APPLY = 'application/apply-patch+yaml'
const AUTHORIZATION = '/apis/authorization.k8s.io/v1'
const AUTHENTICATION = '/apis/authentication.k8s.io/v1'
const TOKEN = `${N}/serviceaccounts/default/token`
const STRUCT = 'struct \\{ APIVersion string "json:\\\\"apiVersion,omitempty\\\\""; Kind string "json:\\\\"kind,omitempty\\\\"" \\}'
const unrecognized = (why: string, kind = 'ConfigMap'): RegExp =>
  new RegExp(`^the object provided is unrecognized \\(must be of type ${kind}\\): ${why}`)
const cannot = (why: string, kind = 'ConfigMap'): RegExp => new RegExp(`^${kind} in version "v1" cannot be handled as a ${kind}: ${why}$`)

/** Each level holds the one before ten times: 10^9 values in 400 bytes. */
const BOMB = `a: &a [x,x,x,x,x,x,x,x,x,x]\n${[...'bcdefghi'].map((name, at) => `${name}: &${name} [${Array(10).fill(`*${'abcdefghi'[at]}`).join(',')}]\n`).join('')}`
const nested = (depth: number): string => `${'['.repeat(depth)}${']'.repeat(depth)}`
const chained = Array.from({ length: 2_000 }, (_, at) => `k${at}: &k${at} ${at === 0 ? 'x' : `[*k${at - 1}]`}\n`).join('')

const bodies: readonly Case[] = [
  [
    'a number for the apiVersion',
    'POST',
    MAPS,
    '{"apiVersion":0.1,"kind":"ConfigMap","metadata":{"name":"a"}}',
    400,
    unrecognized(
      'couldn\'t get version/kind; json parse error: json: cannot unmarshal number into Go struct field \\.apiVersion of type string \\(\\{"apiVersion":0\\.1,"kind":"Conf \\.\\.\\.\\)$'
    )
  ],
  [
    'a number for the kind',
    'POST',
    MAPS,
    '{"kind":5}',
    400,
    unrecognized("couldn't get version/kind; json parse error: json: cannot unmarshal number into Go struct field \\.kind of type string")
  ],
  [
    'another kind',
    'POST',
    MAPS,
    '{"apiVersion":"v1","kind":"Pod"}',
    400,
    /^Pod in version "v1" cannot be handled as a ConfigMap: converting \(v1\.Pod\) to \(core\.ConfigMap\): unknown conversion$/
  ],
  [
    'another version',
    'POST',
    MAPS,
    '{"apiVersion":"v2","kind":"ConfigMap"}',
    400,
    /^ConfigMap in version "v2" cannot be handled as a ConfigMap: no kind "ConfigMap" is registered for version "v2"/
  ],
  [
    'a list for an object',
    'POST',
    MAPS,
    '[]',
    400,
    unrecognized(`couldn't get version/kind; json parse error: json: cannot unmarshal array into Go value of type ${STRUCT} \\(5b5d\\)$`)
  ],
  [
    'text for an object',
    'POST',
    MAPS,
    '"x"',
    400,
    unrecognized(`couldn't get version/kind; json parse error: json: cannot unmarshal string into Go value of type ${STRUCT} \\(227822\\)$`)
  ],
  [
    'nothing',
    'POST',
    MAPS,
    '',
    400,
    unrecognized("couldn't get version/kind; json parse error: unexpected end of JSON input \\(<empty>\\)$")
  ],
  ['null', 'POST', MAPS, 'null', 422, /^ConfigMap "" is invalid: metadata\.name: Required value: name or generateName is required$/],
  ['half an object', 'POST', MAPS, '{', 400, unrecognized("couldn't get version/kind; json parse error: ")],
  [
    'a list for the metadata',
    'POST',
    MAPS,
    '{"metadata":[]}',
    400,
    cannot('json: cannot unmarshal array into Go struct field ConfigMap\\.metadata of type v1\\.ObjectMeta')
  ],
  [
    'an object for the name',
    'POST',
    MAPS,
    '{"metadata":{"name":{"a":1}}}',
    400,
    cannot('json: cannot unmarshal object into Go struct field ObjectMeta\\.metadata\\.name of type string')
  ],
  [
    'an object for a text',
    'POST',
    MAPS,
    '{"metadata":{"name":"a"},"data":{"a":{"b":1}}}',
    400,
    cannot('json: cannot unmarshal object into Go struct field ConfigMap\\.data of type string')
  ],
  [
    'a very deep value',
    'POST',
    MAPS,
    `{"data":${nested(20_000)}}`,
    400,
    unrecognized("couldn't get version/kind; json parse error: exceeded max depth")
  ],
  [
    'a deep value that still parses',
    'POST',
    MAPS,
    `{"data":${nested(1_500)}}`,
    400,
    unrecognized("couldn't get version/kind; json parse error: exceeded max depth")
  ],
  [
    'very many faults',
    'POST',
    `${N}/secrets`,
    `{"metadata":{"name":"a"},"data":{${Array.from({ length: 50_000 }, (_, at) => `"k${at}":5`).join(',')}}}`,
    400,
    cannot('json: cannot unmarshal number into Go struct field Secret\\.data of type \\[\\]uint8', 'Secret')
  ],
  ['an unknown alias', 'POST', MAPS, 'a: *b', 400, unrecognized("yaml: unknown anchor 'b' referenced \\(613a202a62\\)$"), YAML],
  ['YAML that is none', 'POST', MAPS, 'a: [', 400, unrecognized('yaml: line 1: '), YAML],
  ['YAML of a billion', 'POST', MAPS, BOMB, 400, unrecognized('yaml: document contains excessive aliasing '), YAML],
  ['YAML that contains itself', 'POST', MAPS, 'a: &a [*a]', 400, unrecognized("yaml: an anchor's value contains itself"), YAML],
  ['YAML deep by aliases', 'POST', MAPS, chained, 400, unrecognized('yaml: (exceeded max depth|document contains)'), YAML],
  ['deep YAML', 'POST', MAPS, `a: ${nested(20_000)}`, 400, unrecognized('yaml: exceeded max depth'), YAML],
  ['deep YAML in dashes', 'POST', MAPS, `${'- '.repeat(5_000)}x`, 400, unrecognized('yaml: exceeded max depth'), YAML],
  ['YAML with a list for a key', 'POST', MAPS, '? [a]\n: b', 400, unrecognized('yaml: '), YAML],
  [
    'YAML with half a character',
    'POST',
    MAPS,
    'metadata: {name: "\\uD800"}',
    400,
    unrecognized('yaml: invalid Unicode character escape code'),
    YAML
  ],
  [
    'a body of another type',
    'POST',
    MAPS,
    'x',
    415,
    /^the body of the request was in an unknown format - accepted media types include: application\/json, application\/yaml, application\/vnd\.kubernetes\.protobuf$/,
    'text/plain'
  ],
  ['infinity', 'POST', MAPS, 'metadata: {name: a, generation: -.inf}', 400, unrecognized('json: unsupported value: -Inf '), YAML],
  ['not a number', 'POST', MAPS, 'metadata: {name: a, generation: .NaN}', 400, unrecognized('json: unsupported value: NaN '), YAML],
  ['no bytes for protobuf', 'POST', MAPS, 'k8s\0', 400, unrecognized('empty body \\(6b387300\\)$'), 'application/vnd.kubernetes.protobuf'],
  [
    'bytes for protobuf',
    'POST',
    MAPS,
    'k8s',
    400,
    unrecognized('provided data does not appear to be a protobuf message'),
    'application/vnd.kubernetes.protobuf'
  ]
]

const options: readonly Case[] = [
  [
    'a bad dry run',
    'POST',
    `${MAPS}?dryRun=x`,
    '{}',
    422,
    /^CreateOptions\.meta\.k8s\.io "" is invalid: dryRun: Unsupported value: \["x"\]: supported values: "All"$/
  ],
  [
    'an empty dry run',
    'POST',
    `${MAPS}?dryRun=`,
    '{}',
    422,
    /^CreateOptions\.meta\.k8s\.io "" is invalid: dryRun: Unsupported value: \[""\]: supported values: "All"$/
  ],
  [
    'a bad dry run and field validation',
    'POST',
    `${MAPS}?dryRun=x&fieldValidation=y`,
    '{}',
    422,
    /^CreateOptions\.meta\.k8s\.io "" is invalid: \[dryRun: Unsupported value: \["x"\]: supported values: "All", fieldValidation: Unsupported value: "y": supported values: "", "Ignore", "Strict", "Warn"\]$/
  ],
  [
    'a field manager of two lines',
    'POST',
    `${MAPS}?fieldManager=a%0Ab`,
    '{}',
    422,
    /^CreateOptions\.meta\.k8s\.io "" is invalid: fieldManager: Invalid value: "a\\nb": invalid character U\+000A \(at position 1\)$/
  ],
  [
    'a long field manager',
    'PUT',
    `${MAPS}/a?fieldManager=${'a'.repeat(129)}`,
    '{}',
    422,
    /^UpdateOptions\.meta\.k8s\.io "" is invalid: fieldManager: Too long: may not be more than 128 bytes$/
  ],
  [
    'force without apply',
    'PATCH',
    `${MAPS}/a?force=true`,
    '{}',
    422,
    /^PatchOptions\.meta\.k8s\.io "" is invalid: force: Forbidden: may not be specified for non-apply patch$/,
    MERGE
  ],
  [
    'apply without a manager',
    'PATCH',
    `${MAPS}/a`,
    '{}',
    422,
    /^PatchOptions\.meta\.k8s\.io "" is invalid: fieldManager: Required value: is required for apply patch$/,
    APPLY
  ],
  [
    'apply without a manager, to be looked at as never',
    'PATCH',
    `${MAPS}/a?fieldValidation=y`,
    '{}',
    422,
    /^PatchOptions\.meta\.k8s\.io "" is invalid: \[fieldManager: Required value: is required for apply patch, fieldValidation: Unsupported value: "y"/,
    APPLY
  ],
  [
    'a grace period that is no number',
    'DELETE',
    `${MAPS}/a?gracePeriodSeconds=x`,
    undefined,
    400,
    /^strconv\.ParseInt: parsing "x": invalid syntax$/
  ],
  [
    'a grace period beyond 64 bits',
    'DELETE',
    `${MAPS}/a?gracePeriodSeconds=9223372036854775808`,
    undefined,
    400,
    /^strconv\.ParseInt: parsing "9223372036854775808": value out of range$/
  ],
  [
    'an unknown policy',
    'DELETE',
    `${MAPS}/a?propagationPolicy=x`,
    undefined,
    422,
    /^DeleteOptions\.meta\.k8s\.io "" is invalid: propagationPolicy: Unsupported value: "x": supported values: "Foreground", "Background", "Orphan", "nil"$/
  ],
  ['delete options that are a list', 'DELETE', `${MAPS}/a`, '[]', 400, /cannot unmarshal array into Go value/],
  [
    'a number for the kind of the delete options',
    'DELETE',
    `${MAPS}/a`,
    '{"kind":5}',
    400,
    /json: cannot unmarshal number into Go struct field \.kind of type string/
  ],
  [
    'delete options of another kind',
    'DELETE',
    `${MAPS}/a`,
    '{"kind":"Pod","apiVersion":"v1"}',
    400,
    /^no kind "Pod" is registered for version "v1"/
  ],
  [
    'preconditions that are a list',
    'DELETE',
    `${MAPS}/a`,
    '{"preconditions":[]}',
    400,
    /^json: cannot unmarshal array into Go struct field DeleteOptions\.preconditions of type v1\.Preconditions$/
  ],
  ['a patch of another type', 'PATCH', `${MAPS}/a`, '{}', 415, /application\/merge-patch\+json/, 'application/json']
]

const reviews: readonly Case[] = [
  [
    'a number for the groups',
    'POST',
    `${AUTHORIZATION}/subjectaccessreviews`,
    '{"spec":{"groups":-1}}',
    400,
    cannot(
      'json: cannot unmarshal number into Go struct field SubjectAccessReviewSpec\\.spec\\.groups of type \\[\\]string',
      'SubjectAccessReview'
    )
  ],
  [
    'an object for the user',
    'POST',
    `${AUTHORIZATION}/subjectaccessreviews`,
    '{"spec":{"user":{}}}',
    400,
    cannot('json: cannot unmarshal object into Go struct field SubjectAccessReviewSpec\\.spec\\.user of type string', 'SubjectAccessReview')
  ],
  [
    'no question',
    'POST',
    `${AUTHORIZATION}/subjectaccessreviews`,
    '{}',
    422,
    /is invalid: \[spec\.resourceAttributes: Invalid value: null: exactly one of nonResourceAttributes or resourceAttributes must be specified, spec\.user: Invalid value: "": at least one of user or group must be specified\]$/
  ],
  [
    'two questions',
    'POST',
    `${AUTHORIZATION}/selfsubjectaccessreviews`,
    '{"spec":{"resourceAttributes":{},"nonResourceAttributes":{}}}',
    422,
    /spec\.nonResourceAttributes: Invalid value: \{\}: cannot be specified in combination with resourceAttributes$/
  ],
  [
    'a name',
    'POST',
    `${AUTHORIZATION}/selfsubjectaccessreviews`,
    '{"metadata":{"name":"a"},"spec":{"resourceAttributes":{}}}',
    422,
    /metadata: Invalid value: \{"name":"a"\}: must be empty$/
  ],
  [
    'another namespace',
    'POST',
    `${AUTHORIZATION}/namespaces/default/localsubjectaccessreviews`,
    '{"spec":{"user":"a","resourceAttributes":{"namespace":"x"}}}',
    422,
    /spec\.resourceAttributes\.namespace: Invalid value: "x": must match metadata\.namespace$/
  ],
  [
    'a path in a namespace',
    'POST',
    `${AUTHORIZATION}/namespaces/default/localsubjectaccessreviews`,
    '{"spec":{"user":"a","nonResourceAttributes":{"path":"/"}}}',
    422,
    /spec\.nonResourceAttributes: Invalid value: \{"path":"\/"\}: disallowed on this kind of request$/
  ],
  [
    "a namespace besides the path's",
    'POST',
    `${AUTHORIZATION}/namespaces/default/localsubjectaccessreviews`,
    '{"metadata":{"namespace":"x"},"spec":{"user":"a","resourceAttributes":{"namespace":"default"}}}',
    400,
    /^the namespace of the provided object does not match the namespace sent on the request$/
  ],
  ['rules of no namespace', 'POST', `${AUTHORIZATION}/selfsubjectrulesreviews`, '{}', 400, /^no namespace on request$/],
  ['no token', 'POST', `${AUTHENTICATION}/tokenreviews`, '{}', 400, /^token is required for TokenReview in authentication$/],
  [
    'a list',
    'POST',
    `${AUTHENTICATION}/selfsubjectreviews`,
    '[]',
    400,
    unrecognized("couldn't get version/kind; json parse error: json: cannot unmarshal array", 'SelfSubjectReview')
  ],
  [
    'a moment of the past',
    'POST',
    `/at/-1s${AUTHORIZATION}/subjectaccessreviews`,
    '{"spec":{"user":"a","resourceAttributes":{}}}',
    405,
    /^this is the past/
  ],
  [
    'labels',
    'POST',
    `${AUTHORIZATION}/selfsubjectaccessreviews`,
    '{"metadata":{"labels":{"a":"b"}},"spec":{"resourceAttributes":{}}}',
    422,
    /metadata: Invalid value: .*: must be empty$/
  ],
  ['a name in the path', 'POST', `${AUTHORIZATION}/subjectaccessreviews/a`, '{}', 404, /could not find the requested resource/],
  [
    'a namespace in the path',
    'POST',
    `${AUTHORIZATION}/namespaces/default/subjectaccessreviews`,
    '{}',
    404,
    /could not find the requested resource/
  ],
  ['text for a token request', 'POST', TOKEN, '"x"', 400, unrecognized("couldn't get version/kind", 'TokenRequest')],
  [
    'text for its audiences',
    'POST',
    TOKEN,
    '{"spec":{"audiences":"x"}}',
    400,
    cannot('json: cannot unmarshal string into Go struct field TokenRequestSpec\\.spec\\.audiences of type \\[\\]string', 'TokenRequest')
  ],
  [
    'text for its time',
    'POST',
    TOKEN,
    '{"spec":{"expirationSeconds":"x"}}',
    400,
    cannot('json: cannot unmarshal string into Go struct field TokenRequestSpec\\.spec\\.expirationSeconds of type int64', 'TokenRequest')
  ],
  [
    'a short time',
    'POST',
    TOKEN,
    '{"spec":{"expirationSeconds":599}}',
    422,
    /^TokenRequest\.authentication\.k8s\.io "" is invalid: spec\.expirationSeconds: Invalid value: 599: may not specify a duration less than 10 minutes$/
  ],
  [
    'a token for a pod that is not there',
    'POST',
    TOKEN,
    '{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"nope"}}}',
    404,
    /^pods "nope" not found$/
  ],
  [
    'a token for a node',
    'POST',
    TOKEN,
    '{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Node","name":"n"}}}',
    400,
    /^cannot bind token to object of type \/v1, Kind=Node$/
  ],
  [
    'a long time',
    'POST',
    TOKEN,
    '{"spec":{"expirationSeconds":4294967297}}',
    422,
    /spec\.expirationSeconds: Invalid value: 4294967297: may not specify a duration larger than 2\^32 seconds$/
  ],
  [
    'a token in another namespace',
    'POST',
    TOKEN,
    '{"metadata":{"namespace":"x"}}',
    400,
    /^the namespace of the provided object does not match the namespace sent on the request$/
  ],
  [
    'a token of another name',
    'POST',
    TOKEN,
    '{"metadata":{"name":"x"}}',
    422,
    /^TokenRequest\.authentication\.k8s\.io "default" is invalid: metadata\.name: Invalid value: "x": must match the service account name if specified$/
  ],
  [
    'a token of an earlier account',
    'POST',
    TOKEN,
    '{"metadata":{"uid":"old"}}',
    409,
    /the UID in the token request \(old\) does not match the UID of the service account \([0-9a-f-]{36}\)$/
  ],
  ['a token of nobody', 'POST', `${N}/serviceaccounts/nobody/token`, '{}', 404, /^serviceaccounts "nobody" not found$/],
  [
    'a token for a pod of another account',
    'POST',
    TOKEN,
    '{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"theirs"}}}',
    400,
    /^cannot bind token for serviceaccount "default" to pod running with different serviceaccount name\.$/
  ],
  [
    'a token for an earlier pod',
    'POST',
    TOKEN,
    '{"spec":{"boundObjectRef":{"apiVersion":"v1","kind":"Pod","name":"mine","uid":"old"}}}',
    409,
    /the UID in the bound object reference \(old\) does not match the UID in record/
  ],
  [
    'an object for a binding',
    'POST',
    `${N}/pods/a/binding`,
    '{"target":{"name":{}}}',
    400,
    cannot('json: cannot unmarshal object into Go struct field ObjectReference\\.target\\.name of type string', 'Binding')
  ],
  [
    'a binding to nothing',
    'POST',
    `${N}/pods/a/binding`,
    '{"metadata":{"name":"a"}}',
    422,
    /^Binding "a" is invalid: target\.name: Required value$/
  ]
]

const lists: readonly Case[] = [
  [
    'a time-out that is no number',
    'GET',
    `${MAPS}?watch=1&timeoutSeconds=x`,
    undefined,
    400,
    /^strconv\.ParseInt: parsing "x": invalid syntax$/
  ],
  ['an empty limit', 'GET', `${MAPS}?limit=`, undefined, 400, /^strconv\.ParseInt: parsing "": invalid syntax$/],
  [
    'a limit beyond 64 bits',
    'GET',
    `${MAPS}?limit=99999999999999999999`,
    undefined,
    400,
    /^strconv\.ParseInt: parsing "99999999999999999999": value out of range$/
  ],
  [
    'a version that is no number',
    'GET',
    `${MAPS}?resourceVersion=x`,
    undefined,
    400,
    /^invalid resource version: resourceVersion: Invalid value: "x": strconv\.ParseUint: parsing "x": invalid syntax$/
  ],
  [
    'a watch from no version',
    'GET',
    `${MAPS}?watch=1&resourceVersion=-1`,
    undefined,
    400,
    /^resourceVersion: Invalid value: "-1": strconv\.ParseUint: parsing "-1": invalid syntax$/
  ],
  [
    'a match of nothing',
    'GET',
    `${MAPS}?resourceVersionMatch=Exact`,
    undefined,
    422,
    /^ListOptions\.meta\.k8s\.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided$/
  ],
  [
    'an unknown match',
    'GET',
    `${MAPS}?resourceVersionMatch=x&resourceVersion=1`,
    undefined,
    422,
    /resourceVersionMatch: Unsupported value: "x": supported values: "Exact", "NotOlderThan", ""$/
  ],
  [
    'an exact match of any version',
    'GET',
    `${MAPS}?resourceVersionMatch=Exact&resourceVersion=0`,
    undefined,
    422,
    /resourceVersionMatch "exact" is forbidden for resourceVersion "0"$/
  ],
  [
    'a match of what continues',
    'GET',
    `${MAPS}?resourceVersionMatch=Exact&resourceVersion=1&continue=x`,
    undefined,
    422,
    /resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided$/
  ],
  [
    'a watch that matches',
    'GET',
    `${MAPS}?watch=1&resourceVersionMatch=NotOlderThan`,
    undefined,
    422,
    /resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided$/
  ],
  [
    'a watch that continues',
    'GET',
    `${MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&continue=x`,
    undefined,
    422,
    /resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided$/
  ],
  [
    'initial events of a list',
    'GET',
    `${MAPS}?sendInitialEvents=true`,
    undefined,
    422,
    /sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list$/
  ],
  [
    'initial events without a match',
    'GET',
    `${MAPS}?watch=1&sendInitialEvents=true`,
    undefined,
    422,
    /sendInitialEvents requires setting resourceVersionMatch to NotOlderThan$/
  ],
  [
    'initial events of an exact version',
    'GET',
    `${MAPS}?watch=1&sendInitialEvents=true&resourceVersionMatch=Exact`,
    undefined,
    422,
    /\[resourceVersionMatch: Forbidden: .*, resourceVersionMatch: Unsupported value: "Exact": supported values: "NotOlderThan"\]$/
  ],
  ['a token of nothing', 'GET', `${MAPS}?continue=bnVsbA`, undefined, 400, /^continue key is not valid/],
  [
    'a token made up',
    'GET',
    `${MAPS}?continue=${Buffer.from('{"v":-1,"k":"a","t":1e300}').toString('base64url')}`,
    undefined,
    400,
    /^continue key is not valid/
  ],
  ['a moment that can not be decoded', 'GET', `/at/%zz${MAPS}`, undefined, 400, /^"%zz" is not a moment/],
  ['a moment before all time', 'GET', `/at/-99999999999999d${MAPS}`, undefined, 410, /there is nothing to read at -99999999999999d$/],
  [
    'a copy from nowhere',
    'PATCH',
    `${MAPS}/a`,
    '[{"op":"copy","path":""}]',
    422,
    /rejected our request.*invalid path/,
    'application/json-patch+json'
  ],
  [
    'a merge patch that is a list',
    'PATCH',
    `${MAPS}/a`,
    '[]',
    400,
    /^error decoding patch: json: cannot unmarshal array into Go value of type map\[string\]interface \{\}$/,
    MERGE
  ],
  [
    'a JSON patch, first of all to be read',
    'PATCH',
    `${MAPS}/a`,
    '[{"op":"x"},"y"]',
    400,
    /^error decoding patch: json: cannot unmarshal string into Go value of type handlers\.jsonPatchOp$/,
    'application/json-patch+json'
  ],
  [
    'another uid in a patch',
    'PATCH',
    `${MAPS}/a`,
    '{"metadata":{"uid":"x"}}',
    422,
    /metadata\.uid: Invalid value: "x": field is immutable$/,
    MERGE
  ],
  [
    'another uid',
    'PUT',
    `${MAPS}/a`,
    '{"metadata":{"name":"a","uid":"x"}}',
    409,
    /Precondition failed: UID in precondition: x, UID in object meta: [0-9a-f-]{36}$/
  ],
  [
    'the scale of another uid',
    'PUT',
    '/apis/apps/v1/namespaces/default/deployments/d/scale',
    '{"metadata":{"name":"d","uid":"x"},"spec":{"replicas":1}}',
    409,
    /Precondition failed: UID in precondition: x, /
  ],
  ['an apply of nothing', 'PATCH', `${MAPS}/a?fieldManager=x`, '{"apiVersion":"v1"}', 400, /^invalid object type: \/v1, Kind=$/, APPLY],
  [
    'an apply of something new without a name',
    'PATCH',
    `${MAPS}/new?fieldManager=x`,
    '{"apiVersion":"v1","kind":"ConfigMap"}',
    400,
    /^the name of the object \(new based on URL\) was undeterminable: name must be provided$/,
    APPLY
  ],
  ['two dots for a name', 'DELETE', `${MAPS}/%2e%2e`, undefined, 400, /^Name parameter invalid: "\.\.": may not be '\.\.'$/],
  ['a slash in a name', 'GET', `${MAPS}/a%2Fb`, undefined, 400, /^Name parameter invalid: "a\/b": may not contain '\/'$/],
  ['half an escape in a name', 'GET', `${MAPS}/%zz`, undefined, 400, /^Name parameter invalid: "%zz": may not contain '%'$/],
  [
    'a directive that is no text',
    'PATCH',
    `${MAPS}/a`,
    '{"$patch":[{"toString":false}]}',
    400,
    /^unknown patch type: \[map\[toString:false\]\] in map: map\[\$patch:\[map\[toString:false\]\]\]$/,
    STRATEGIC
  ],
  [
    'a directive in a map that is none',
    'PATCH',
    `${MAPS}/a`,
    '{"metadata":{"$patch":{"valueOf":1}}}',
    400,
    /^unknown patch type: map\[valueOf:1\] in map: map\[\$patch:map\[valueOf:1\]\]$/,
    STRATEGIC
  ],
  ['keys to retain that are no list', 'PATCH', `${MAPS}/a`, '{"$retainKeys":5}', 400, /^invalid patch format of retainKeys$/, STRATEGIC],
  [
    'a patch that deletes',
    'PATCH',
    `${MAPS}/a`,
    '{"metadata":{"deletionTimestamp":"2020-01-01T00:00:00Z"}}',
    422,
    /metadata\.deletionTimestamp: Invalid value: "2020-01-01T00:00:00Z": field is immutable$/,
    MERGE
  ],
  [
    'a patch of when it began',
    'PATCH',
    `${MAPS}/a`,
    '{"metadata":{"creationTimestamp":"2020-01-01T00:00:00Z"}}',
    422,
    /metadata\.creationTimestamp: Invalid value: "2020-01-01T00:00:00Z": field is immutable$/,
    MERGE
  ],
  [
    'an aggregation of nothing',
    'POST',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    '{"metadata":{"name":"a"},"aggregationRule":{}}',
    422,
    /aggregationRule\.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil$/
  ],
  [
    'an aggregation by no operator',
    'POST',
    '/apis/rbac.authorization.k8s.io/v1/clusterroles',
    '{"metadata":{"name":"a"},"aggregationRule":{"clusterRoleSelectors":[{"matchExpressions":[{"key":"a","operator":"x"}]}]}}',
    422,
    /clusterRoleSelectors\[0\]\.matchExpressions\[0\]\.operator: Invalid value: "x"/
  ]
]

for (const [name, cases] of Object.entries({ bodies, options, reviews, lists })) {
  const bad = suite(`bad ${name}`)
  let server: TestServer
  bad.before(async () => {
    server = await startTestServer()
    await server.json('POST', MAPS, { metadata: { name: 'a' } })
    await server.json('POST', '/apis/apps/v1/namespaces/default/deployments', {
      metadata: { name: 'd' },
      spec: {
        selector: { matchLabels: { a: 'b' } },
        template: { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'a', image: 'a' }] } }
      }
    })
    await server.json('POST', `${N}/serviceaccounts`, { metadata: { name: 'other' } })
    for (const [name, serviceAccountName] of [
      ['mine', 'default'],
      ['theirs', 'other']
    ])
      await server.json('POST', `${N}/pods`, { metadata: { name }, spec: { serviceAccountName, containers: [{ name: 'a', image: 'a' }] } })
  })
  bad.after(() => server.stop())
  for (const [what, method, path, body, code, message, contentType = 'application/json'] of cases)
    bad(what, async () => {
      const began = performance.now()
      const answer = await server.send({ method, path, ...(body === undefined ? {} : { headers: { 'content-type': contentType }, body }) })
      assert.is(answer.code, code, answer.text.slice(0, 500))
      const status = JSON.parse(answer.text) as { kind: string; status: string; code: number; message: string }
      assert.equal([status.kind, status.status, status.code], ['Status', 'Failure', code])
      assert.match(status.message, message)
      assert.equal(server.errors, [])
      assert.ok(performance.now() - began < 5_000)
    })
  bad.run()
}

const good = suite('good bodies')
let server: TestServer
good.before(async () => {
  server = await startTestServer()
})
good.after(() => server.stop())

const yaml = async (
  text: string
): Promise<{ readonly code: number; readonly object: Record<string, unknown>; readonly warning: unknown }> => {
  const {
    code,
    headers,
    text: answer
  } = await server.send({ method: 'POST', path: `${MAPS}?dryRun=All`, headers: { 'content-type': YAML }, body: text })
  return { code, object: JSON.parse(answer) as Record<string, unknown>, warning: headers['warning'] }
}

good('in YAML read as upstream reads them', async () => {
  for (const [text, value] of [
    ['1:20', '1:20'],
    ['12:30:45', '12:30:45'],
    ['2001-01-01', '2001-01-01'],
    ['~', ''],
    ['"yes"', 'yes'],
    ['=', '=']
  ] as const)
    assert.equal((await yaml(`metadata: {name: a}\ndata: {v: ${text}}`)).object['data'], { v: value }, text)
  for (const text of ['yes', 'on', 'NO', 'y', '0644', '0o644', '0x10', '1_000', '1e3', '1.10'])
    assert.is((await yaml(`metadata: {name: a}\ndata: {v: ${text}}`)).code, 400, `${text} is no text in YAML 1.1`)
  assert.equal((await yaml('x: &x {a: b}\nmetadata: {name: a}\ndata:\n  <<: *x\n  c: d')).object['data'], { a: 'b', c: 'd' })
  for (const [text, value] of [
    ['!!binary aGVsbG8=', 'hello'],
    ['!mine x', 'x'],
    ['!!str 5', '5']
  ] as const)
    assert.equal((await yaml(`metadata: {name: a}\ndata: {v: ${text}}`)).object['data'], { v: value }, text)
  assert.is((await yaml('---\nmetadata: {name: a}\n---\nmetadata: {name: b}')).code, 201, 'of several documents the first counts')
  const twice = await yaml('metadata: {name: a}\ndata:\n  a: x\n  a: z')
  assert.equal(twice.object['data'], { a: 'z' })
  assert.match(String(twice.warning), /line 4: key \\"a\\" already set in map/)
})
good('keep whole characters, and one sign for halves', async () => {
  const { object } = await server.json('POST', MAPS, { metadata: { name: 'halves' } })
  assert.is(object.kind, 'ConfigMap')
  const { text } = await server.send({
    method: 'POST',
    path: '/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles',
    headers: { 'content-type': 'application/json' },
    body: '{"metadata":{"name":"a\\ud800\\\\ud800\\ud83d\\ude00"}}'
  })
  const name = (JSON.parse(text) as { metadata: { name: string } }).metadata.name
  assert.is(name, 'a\ufffd\\ud800😀')
  assert.is(
    (await server.send({ method: 'GET', path: `/apis/rbac.authorization.k8s.io/v1/namespaces/default/roles/${encodeURIComponent(name)}` }))
      .code,
    200
  )
})
good('give a token that ends with its pod', async () => {
  await server.json('POST', `${N}/pods`, { metadata: { name: 'p' }, spec: { containers: [{ name: 'a', image: 'a' }] } })
  const { code, object } = await server.json('POST', `${N}/serviceaccounts/default/token`, {
    spec: { boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p' } }
  })
  assert.is(code, 201)
  const token = at(object, 'status.token') as string
  const review = (): ReturnType<TestServer['json']> => server.json('POST', `${AUTHENTICATION}/tokenreviews`, { spec: { token } })
  assert.is(at((await review()).object, 'status.authenticated'), true)
  await server.json('DELETE', `${N}/pods/p`, { gracePeriodSeconds: 0 })
  assert.is(at((await review()).object, 'status.authenticated'), false)
})
good('may end a watch before it begins', async () => {
  for (const path of [
    `${MAPS}?watch=1&timeoutSeconds=-1&resourceVersion=1`,
    `/at/-0s${MAPS}?watch=1&timeoutSeconds=-1`,
    `${MAPS}?watch=1&timeoutSeconds=-9223372036854775808`
  ])
    assert.is((await server.send({ method: 'GET', path }, 2_000)).code, 200)
})
good('begin a watch of the past that has nothing to show', async () => {
  // Without headers the client would wait for them until the watch's time is over.
  const answer = server.send({ method: 'GET', path: `/at/-0s${MAPS}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dnone` }, 4_000)
  assert.equal([(await answer).code, (await answer).text], [200, ''])
})
good('may ask for any grace period', async () => {
  const graceOf = async (name: string, gracePeriodSeconds: number): Promise<readonly [unknown, unknown]> => {
    assert.is(
      (await server.json('POST', `${N}/pods`, { metadata: { name }, spec: { nodeName: 'n', containers: [{ name: 'a', image: 'a' }] } }))
        .code,
      201
    )
    const { code, object } = await server.json('DELETE', `${N}/pods/${name}`, { gracePeriodSeconds })
    assert.is(code, 200)
    return [object.metadata.deletionGracePeriodSeconds, object.metadata.deletionTimestamp]
  }
  assert.equal(await graceOf('long', 9_000_000_000_000), [9_000_000_000_000, '9999-12-31T23:59:59Z'])
  assert.is((await graceOf('negative', -5))[0], 1, 'less than no time is a second')
})
good('send back what they once wrote, less what was filled in', async () => {
  const written = { metadata: { name: 'again' }, spec: { containers: [{ name: 'a', image: 'a' }] } }
  const { object } = await server.json('POST', `${N}/pods`, written)
  const { tolerations, ...spec } = object['spec'] as Record<string, unknown>
  assert.is((tolerations as unknown[]).length, 2)
  const again = await server.json('PUT', `${N}/pods/again`, { ...object, spec })
  assert.is(again.code, 200)
  assert.equal(at(again.object, 'spec.tolerations'), tolerations)
})
good('say the same by an empty list as by none', async () => {
  const labels = { a: 'b' }
  const { object } = await server.json('POST', '/apis/apps/v1/namespaces/default/deployments', {
    metadata: { name: 'a' },
    spec: { selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'a', image: 'a' }] } } }
  })
  const sent = structuredClone(object)
  setAt(sent, 'spec.selector.matchExpressions', [])
  assert.is((await server.json('PUT', '/apis/apps/v1/namespaces/default/deployments/a', sent)).code, 200)
})
good('of a patch may be nothing', async () => {
  await server.json('POST', MAPS, { metadata: { name: 'nothing' } })
  for (const type of [STRATEGIC, 'application/json-patch+json'])
    assert.is(
      (await server.send({ method: 'PATCH', path: `${MAPS}/nothing`, headers: { 'content-type': type }, body: 'null' })).code,
      200,
      type
    )
})
good('of a review may say what the server says of every object, and nothing at length', async () => {
  const metadata = { uid: 'x', creationTimestamp: '2030-01-01T00:00:00Z', labels: {}, finalizers: [], name: '' }
  assert.is(
    (await server.json('POST', `${AUTHORIZATION}/selfsubjectaccessreviews`, { metadata, spec: { resourceAttributes: {} } })).code,
    201
  )
})
good('of an apply own their half of the object', async () => {
  const path = '/apis/apps/v1/namespaces/default/deployments/a'
  const apply = async (subresource: string, manager: string, more: Record<string, unknown>): Promise<KubeObject> => {
    const { code, text } = await server.send({
      method: 'PATCH',
      path: `${path}${subresource}?fieldManager=${manager}`,
      headers: { 'content-type': APPLY },
      body: JSON.stringify({ apiVersion: 'apps/v1', kind: 'Deployment', metadata: { name: 'a', labels: { of: manager } }, ...more })
    })
    assert.is(code, 200, text)
    return JSON.parse(text) as KubeObject
  }
  const ownedBy = ({ metadata: { managedFields = [] } }: KubeObject, manager: string): readonly string[] =>
    managedFields.filter((entry) => entry.manager === manager).flatMap(({ fieldsV1 }) => Object.keys(fieldsV1 ?? {}))
  // What others own of the spec is no conflict for who may not write it here.
  const observed = await apply('/status', 'observer', { spec: { replicas: 7 }, status: { observedGeneration: 1 } })
  assert.equal([at(observed, 'spec.replicas'), ownedBy(observed, 'observer')], [1, ['f:status']])
  const main = await apply('', 'owner', { status: { observedGeneration: 9 } })
  assert.equal([at(main, 'status.observedGeneration'), ownedBy(main, 'owner')], [1, ['f:metadata']])
})
good('of a header that is empty say nothing', async () => {
  const { code, text } = await server.send({
    method: 'POST',
    path: `${AUTHENTICATION}/selfsubjectreviews`,
    headers: { 'content-type': 'application/json', 'impersonate-user': '' },
    body: '{}'
  })
  assert.equal([code, at(JSON.parse(text) as KubeObject, 'status.userInfo.username')], [201, 'kubernetes-admin'])
})
good('are not read from who may not write', async () => {
  const headers = { 'content-type': YAML, 'impersonate-user': 'mallory' }
  const forbidden = 'configmaps is forbidden: User "mallory" cannot create resource "configmaps" in API group "" in the namespace "default"'
  const { decider } = server.api
  const { submit } = decider
  const audited: string[] = []
  decider.submit = (intent, user) => {
    audited.push(`${user.username} ${intent.verb} ${JSON.stringify(intent.object)}`)
    return submit.call(decider, intent, user)
  }
  const { code, text } = await server.send({ method: 'POST', path: MAPS, headers, body: 'a: [' })
  decider.submit = submit
  assert.equal([code, (JSON.parse(text) as { message: string }).message], [403, forbidden])
  assert.equal(audited, ['mallory create undefined'], 'the decider tells the audit trail of it')
  assert.is((await server.send({ method: 'DELETE', path: `${MAPS}/nothing`, headers: { 'impersonate-user': 'mallory' } })).code, 403)
  assert.is((await server.send({ method: 'GET', path: `${MAPS}/nothing` })).code, 200)
})
good('of a deletion of many hold for each', async () => {
  const of = '?labelSelector=of%3Dmany'
  for (const name of ['many-1', 'many-2']) await server.json('POST', MAPS, { metadata: { name, labels: { of: 'many' } } })
  const refused = await server.json('DELETE', `${MAPS}${of}`, { preconditions: { uid: 'x' } })
  assert.is(refused.code, 409)
  assert.match(
    (refused.object as unknown as { message: string }).message,
    /the UID in the precondition \(x\) does not match the UID in record/
  )
  assert.is(((await server.json('GET', `${MAPS}${of}`)).object['items'] as unknown[]).length, 2)
  assert.is((await server.json('DELETE', `${MAPS}${of}`)).code, 200)
  assert.is(((await server.json('GET', `${MAPS}${of}`)).object['items'] as unknown[]).length, 0)
})
good('of what is in no namespace may name one, to no effect', async () => {
  const name = 'no-namespace'
  const role = '/apis/rbac.authorization.k8s.io/v1/clusterroles'
  const { object } = await server.json('POST', role, { metadata: { name } })
  const sent = await server.json('PUT', `${role}/${name}`, { ...object, metadata: { ...object.metadata, namespace: 'x' } })
  assert.equal([sent.code, sent.object.metadata.namespace], [200, undefined])
})
good("what is said of field owners counts for nothing where it can't be read, and hinders nobody afterwards", async () => {
  for (const [at, segment] of ['k:none', 'k:null', 'k:5', 'k:[1]', 'k:"a"', 'v:none', 'i:x', 'x:a', 'a'].entries()) {
    const path = `${MAPS}/owners-${at}`
    const applied = (data: Record<string, string>, manager: string): Promise<{ code: number; object: KubeObject }> =>
      server.json(
        'PATCH',
        `${path}?fieldManager=${manager}&force=true`,
        { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: `owners-${at}` }, data },
        APPLY
      )
    const { object } = await applied({ a: '1' }, 'one')
    const [entry] = object.metadata.managedFields as [object]
    const lie = { ...entry, manager: 'liar', fieldsV1: { 'f:data': { [segment]: {}, [`${segment}2`]: {}, 'f:a': {} } } }
    const sent = await server.json('PUT', path, { ...object, metadata: { ...object.metadata, managedFields: [lie] } })
    assert.equal([sent.code, sent.object.metadata.managedFields], [200, object.metadata.managedFields], segment)
    assert.is((await applied({ a: '2', b: '3' }, 'two')).code, 200, segment)
    assert.equal(server.errors, [])
  }
})
good.run()
