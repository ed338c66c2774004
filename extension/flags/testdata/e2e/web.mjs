// Evaluates a boolean flag with the OpenFeature web SDK, by OFREP's bulk evaluation, and again each time
// that the agent tells of a change; leaves after the first change.
//
//   node web.mjs URL FLAG
import { OpenFeature, ProviderEvents } from '@openfeature/web-sdk';
import { OFREPWebProvider } from '@openfeature/ofrep-web-provider';

// Node has no EventSource: this one reads the stream as the standard says, as far as the provider needs it.
globalThis.EventSource = class {
  static CONNECTING = 0;
  static OPEN = 1;
  static CLOSED = 2;
  readyState = 0;
  #listeners = {};
  #stop = new AbortController();

  constructor(url) {
    fetch(url, { headers: { accept: 'text/event-stream' }, signal: this.#stop.signal })
      .then(async (response) => {
        this.readyState = 1;
        this.#dispatch('open', {});
        let text = '';
        for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
          text += chunk;
          let end;
          while ((end = text.indexOf('\n\n')) >= 0) {
            const fields = text.slice(0, end).split('\n').map((line) => line.split(/: ?(.*)/s));
            text = text.slice(end + 2);
            const data = fields.filter(([name]) => name === 'data').map(([, value]) => value).join('\n');
            if (data) this.#dispatch('message', { data });
          }
        }
      })
      .catch(() => {});
  }
  #dispatch(type, event) {
    this[`on${type}`]?.(event);
    for (const listener of this.#listeners[type] ?? []) listener(event);
  }
  addEventListener(type, listener) {
    (this.#listeners[type] ??= []).push(listener);
  }
  removeEventListener(type, listener) {
    this.#listeners[type] = (this.#listeners[type] ?? []).filter((other) => other !== listener);
  }
  close() {
    this.readyState = 2;
    this.#stop.abort();
  }
};

const [baseUrl, flag] = process.argv.slice(2);
await OpenFeature.setContext({ targetingKey: 'browser' });
await OpenFeature.setProviderAndWait(new OFREPWebProvider({ baseUrl }));
const client = OpenFeature.getClient();
const show = () => {
  const { value, reason } = client.getBooleanDetails(flag, false);
  console.log(value, reason);
};
show();
client.addHandler(ProviderEvents.ConfigurationChanged, async () => {
  show();
  await OpenFeature.close();
  process.exit(0);
});
