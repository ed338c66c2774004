package main

import (
	"fmt"
	"strings"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
)

// refuseLostRepeats refuses a wire_dedup on a receiver that also feeds a pipeline of logs without the event_dedup
// that counts what it takes out: that pipeline would lose repeats.
func refuseLostRepeats(conf *confmap.Conf) error {
	pipelines, _ := conf.Get("service::pipelines").(map[string]any)
	receivers, _ := conf.Get("receivers").(map[string]any)
	for receiver := range receivers {
		key := "receivers::" + receiver + "::protocols::grpc::middlewares"
		for _, sieve := range middlewares(conf.Get(key), "wire_dedup") {
			for name := range pipelines {
				signal, _, _ := strings.Cut(name, "/")
				pipeline := "service::pipelines::" + name
				if signal == "logs" && lists(conf.Get(pipeline+"::receivers"), receiver) && !counts(conf, pipeline, sieve) {
					return fmt.Errorf("%s: %s takes repeats out of requests, and %s has no event_dedup with `wire: %s` that counts them: "+
						"give that pipeline a receiver of its own, or leave the middleware out", key, sieve, pipeline, sieve)
				}
			}
		}
	}
	return nil
}

// middlewares of a type among those that a receiver lists.
func middlewares(listed any, kind string) []string {
	var ids []string
	all, _ := listed.([]any)
	for _, one := range all {
		entry, _ := one.(map[string]any)
		var id component.ID
		if text := fmt.Sprint(entry["id"]); id.UnmarshalText([]byte(text)) == nil && id.Type().String() == kind {
			ids = append(ids, text)
		}
	}
	return ids
}

// counts reports whether a pipeline has an event_dedup that names the sieve.
func counts(conf *confmap.Conf, pipeline, sieve string) bool {
	for id, sub := range used(conf, "processors", "event_dedup") {
		if sub.Get("wire") == any(sieve) && lists(conf.Get(pipeline+"::processors"), id) {
			return true
		}
	}
	return false
}
