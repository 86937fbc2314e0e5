// Command olm-judge says what the validators of operator-framework/api find in a bundle, and which fields of its ClusterServiceVersion there are not.
//
//	olm-judge DIRECTORY     prints a JSON array of {"level": "error" | "warning", "object", "detail"}
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"github.com/operator-framework/api/pkg/manifests"
	"github.com/operator-framework/api/pkg/operators/v1alpha1"
	"github.com/operator-framework/api/pkg/validation"
	"github.com/operator-framework/api/pkg/validation/errors"
	"sigs.k8s.io/yaml"
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
	found, err := unknown(args[0])
	if err != nil {
		return err
	}
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

// unknown has a finding where the ClusterServiceVersion has a field that its type has not: the validators pass it over.
func unknown(directory string) ([]finding, error) {
	found := []finding{}
	paths, err := filepath.Glob(filepath.Join(directory, "manifests", "*.clusterserviceversion.yaml"))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		if err := yaml.UnmarshalStrict(text, &v1alpha1.ClusterServiceVersion{}); err != nil {
			found = append(found, finding{"error", filepath.Base(path), err.Error()})
		}
	}
	return found, nil
}

func told(level, object string, all []errors.Error) []finding {
	found := []finding{}
	for _, one := range all {
		found = append(found, finding{level, object, one.Error()})
	}
	return found
}
