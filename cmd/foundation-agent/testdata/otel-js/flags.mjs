// An application with the OpenFeature SDK: asks the agent for a flag by OFREP. OFREP_ENDPOINT says where.
import { OpenFeature } from '@openfeature/server-sdk';
import { OFREPProvider } from '@openfeature/ofrep-provider';

await OpenFeature.setProviderAndWait(new OFREPProvider({ baseUrl: process.env.OFREP_ENDPOINT }));
const flags = OpenFeature.getClient();
const on = await flags.getBooleanValue('use_ets_sampled_events', false, { targetingKey: 'customer-7' });
console.log(on ? 'on' : 'off');
await OpenFeature.close();
