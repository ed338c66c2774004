// Evaluates flags with the OpenFeature server SDK and prints the details, one JSON object a line.
//
//   node evaluate.mjs flagd FILE     in process, by flagd's provider, from a definition file
//   node evaluate.mjs ofrep URL      by OFREP, from a running agent
//
// Cases come on stdin, one JSON object a line: {"flag", "default", "context"}.
import { createInterface } from 'node:readline';
import { OpenFeature } from '@openfeature/server-sdk';

const [how, where] = process.argv.slice(2);
const provider =
  how === 'flagd'
    ? new (await import('@openfeature/flagd-provider')).FlagdProvider({
        resolverType: 'in-process',
        offlineFlagSourcePath: where,
      })
    : new (await import('@openfeature/ofrep-provider')).OFREPProvider({ baseUrl: where });
await OpenFeature.setProviderAndWait(provider);
const client = OpenFeature.getClient();

for await (const line of createInterface({ input: process.stdin })) {
  const { flag, default: fallback, context } = JSON.parse(line);
  const type = { boolean: 'Boolean', string: 'String', number: 'Number', object: 'Object' }[typeof fallback];
  const details = await client[`get${type}Details`](flag, fallback, context);
  console.log(
    JSON.stringify({
      value: details.value,
      variant: details.variant,
      reason: details.reason,
      errorCode: details.errorCode,
      metadata: details.flagMetadata,
    }),
  );
}
await OpenFeature.close();
