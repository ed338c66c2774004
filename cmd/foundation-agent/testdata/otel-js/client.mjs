// An application with the OpenTelemetry JavaScript SDK: 500 equal events, one plain log record, one span.
// OTEL_EXPORTER_OTLP_ENDPOINT says where to.
import { trace } from '@opentelemetry/api';
import { logs, SeverityNumber } from '@opentelemetry/api-logs';
import { OTLPLogExporter } from '@opentelemetry/exporter-logs-otlp-proto';
import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http';
import { NodeSDK, logs as sdkLogs } from '@opentelemetry/sdk-node';

const logProcessor = new sdkLogs.BatchLogRecordProcessor({ exporter: new OTLPLogExporter() });
const sdk = new NodeSDK({
  serviceName: 'shop',
  logRecordProcessors: [logProcessor],
  traceExporter: new OTLPTraceExporter(),
});
sdk.start();

const logger = logs.getLogger('checkout');
for (let i = 0; i < 500; i++) {
  logger.emit({
    eventName: 'payment.declined',
    severityNumber: SeverityNumber.ERROR,
    body: 'card declined',
    attributes: { dedup_key: 'card', 'measurement.amount': 2 },
  });
  // The SDK gives up records when more than 30 exports are in flight: flush as you go.
  if (i % 100 === 99) await logProcessor.forceFlush();
}
logger.emit({ severityNumber: SeverityNumber.INFO, body: 'a plain log record' });
trace.getTracer('checkout').startActiveSpan('charge', (span) => span.end());
await sdk.shutdown();
