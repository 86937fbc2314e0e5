// Command olm-judge says what the validators of operator-framework/api find in a bundle.
//
//	olm-judge DIRECTORY     prints a JSON array of {"level": "error" | "warning", "object", "detail"}
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/api/pkg/validation/errors"
)

type finding struct {
	Level  string `json:"level"`
	Object string `json:"object"`
	Detail string `json:"detail"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "olm-judge:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: olm-judge DIRECTORY")
	}
	bundle, err := manifests.GetBundleFromDir(args[0])
	if err != nil {
		return err
	}
	found := []finding{}
	// All but those for the old package manifests, and for images in a registry, which are not there yet.
	validators := validation.DefaultBundleValidators.WithValidators(
		validation.OperatorHubV2Validator,
		validation.StandardCategoriesValidator,
		validation.StandardCapabilitiesValidator,
		validation.ObjectValidator,
		validation.AlphaDeprecatedAPIsValidator,
		validation.GoodPracticesValidator,
	)
	for _, result := range validators.Validate(bundle.ObjectsToValidate()...) {
		found = append(found, told("error", result.Name, result.Errors)...)
		found = append(found, told("warning", result.Name, result.Warnings)...)
	}
	return json.NewEncoder(os.Stdout).Encode(found)
}

func told(level, object string, all []errors.Error) []finding {
	found := []finding{}
	for _, one := range all {
		found = append(found, finding{level, object, one.Error()})
	}
	return found
}
