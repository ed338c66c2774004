package foundation

import (
	"context"

	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/receiverhelper"
)

// logsOutlet is the way into the logs pipeline.
type logsOutlet struct {
	next   consumer.Logs // nil when the receiver is in no logs pipeline
	report *receiverhelper.ObsReport
}

func newLogsOutlet(set receiver.Settings) (logsOutlet, error) {
	report, err := receiverhelper.NewObsReport(receiverhelper.ObsReportSettings{
		ReceiverID: set.ID, Transport: "http", ReceiverCreateSettings: set,
	})
	return logsOutlet{report: report}, err
}

// consume gives logs to the pipeline. The error is a *rejection or a *refusal.
func (o *logsOutlet) consume(ctx context.Context, logs plog.Logs) error {
	if o.next == nil {
		return &rejection{reasonNoPipeline, "this receiver is in no logs pipeline, so it takes no events; add it to one under service::pipelines"}
	}
	records := logs.LogRecordCount()
	ctx = o.report.StartLogsOp(ctx)
	err := ctx.Err()
	if err == nil {
		err = o.next.ConsumeLogs(ctx, logs)
	}
	o.report.EndLogsOp(ctx, "json", records, err)
	if err != nil {
		return pipelineError(err)
	}
	return nil
}
