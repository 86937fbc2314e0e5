// Reads an Ignition config from stdin and judges it as Ignition itself does: status 1 and the report where it is not valid.
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/coreos/ignition/v2/config"
)

func main() {
	raw, err := io.ReadAll(os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	_, report, err := config.Parse(raw)
	fmt.Print(report.String())
	if err != nil || report.IsFatal() {
		fmt.Println(err)
		os.Exit(1)
	}
}
