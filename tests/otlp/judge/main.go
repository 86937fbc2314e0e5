// Command otlp-judge reads an ExportTraceServiceRequest as the OpenTelemetry collector does.
//
//	otlp-judge < request.json     prints a JSON array of {"trace", "span", "parent", "name", "kind", "status", "nanoseconds"}
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"

	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
)

type span struct {
	Trace       string `json:"trace"`
	Span        string `json:"span"`
	Parent      string `json:"parent"`
	Name        string `json:"name"`
	Kind        string `json:"kind"`
	Status      string `json:"status"`
	Nanoseconds int64  `json:"nanoseconds"`
}

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "otlp-judge:", err)
		os.Exit(1)
	}
}

func run() error {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return err
	}
	request := ptraceotlp.NewExportRequest()
	if err := request.UnmarshalJSON(input); err != nil {
		return err
	}
	found := []span{}
	for _, resource := range request.Traces().ResourceSpans().All() {
		for _, scope := range resource.ScopeSpans().All() {
			for _, one := range scope.Spans().All() {
				found = append(found, span{
					one.TraceID().String(), one.SpanID().String(), one.ParentSpanID().String(), one.Name(), one.Kind().String(),
					one.Status().Code().String(), int64(one.EndTimestamp() - one.StartTimestamp()),
				})
			}
		}
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}
