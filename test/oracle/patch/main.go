// Command patch answers what upstream's own libraries make of a patch: a case a line on stdin, an answer a line on stdout.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	"k8s.io/client-go/applyconfigurations"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// Case is one question. Op is "round" (what Go makes of the object), "strategic", "update" or "apply".
type Case struct {
	Op          string          `json:"op"`
	APIVersion  string          `json:"apiVersion"`
	Kind        string          `json:"kind"`
	Live        json.RawMessage `json:"live,omitempty"`
	Given       json.RawMessage `json:"given,omitempty"`
	Manager     string          `json:"manager,omitempty"`
	Subresource string          `json:"subresource,omitempty"`
	Force       bool            `json:"force,omitempty"`
	// Top-level fields that the request can't write.
	Reset []string `json:"reset,omitempty"`
}

// Answer has an object or an error.
type Answer struct {
	Object json.RawMessage `json:"object,omitempty"`
	Error  string          `json:"error,omitempty"`
}

var converter = applyconfigurations.NewTypeConverter(scheme.Scheme)

func typed(gvk schema.GroupVersionKind, text []byte) (runtime.Object, error) {
	object, err := scheme.Scheme.New(gvk)
	if err != nil {
		return nil, err
	}
	if len(text) > 0 {
		if err := json.Unmarshal(text, object); err != nil {
			return nil, err
		}
	}
	object.GetObjectKind().SetGroupVersionKind(gvk)
	return object, nil
}

func fieldManager(gvk schema.GroupVersionKind, c Case) (*managedfields.FieldManager, error) {
	set := fieldpath.NewSet()
	for _, name := range c.Reset {
		set.Insert(fieldpath.MakePathOrDie(name))
	}
	reset := map[fieldpath.APIVersion]*fieldpath.Set{fieldpath.APIVersion(c.APIVersion): set}
	return managedfields.NewDefaultFieldManager(converter, scheme.Scheme, scheme.Scheme, scheme.Scheme, gvk, gvk.GroupVersion(),
		c.Subresource, fieldpath.NewExcludeFilterSetMap(reset))
}

func answer(c Case) (any, error) {
	gvk := schema.FromAPIVersionAndKind(c.APIVersion, c.Kind)
	live, err := typed(gvk, c.Live)
	if err != nil {
		return nil, err
	}
	switch c.Op {
	case "round":
		return live, nil
	case "strategic":
		merged, err := strategicpatch.StrategicMergePatch(c.Live, c.Given, live)
		if err != nil {
			return nil, err
		}
		return json.RawMessage(merged), nil
	case "update":
		manager, err := fieldManager(gvk, c)
		if err != nil {
			return nil, err
		}
		given, err := typed(gvk, c.Given)
		if err != nil {
			return nil, err
		}
		return manager.Update(live, given, c.Manager)
	case "apply":
		manager, err := fieldManager(gvk, c)
		if err != nil {
			return nil, err
		}
		applied := &unstructured.Unstructured{}
		if err := json.Unmarshal(c.Given, &applied.Object); err != nil {
			return nil, err
		}
		return manager.Apply(live, applied, c.Manager, c.Force)
	}
	return nil, fmt.Errorf("unknown op %q", c.Op)
}

// withoutTimes makes answers comparable: when somebody wrote is the caller's clock's business.
func withoutTimes(object any) {
	if accessor, ok := object.(metav1.Object); ok {
		entries := accessor.GetManagedFields()
		for i := range entries {
			if entries[i].Time != nil && entries[i].Time.Year() > 2020 {
				entries[i].Time = nil
			}
		}
		accessor.SetManagedFields(entries)
	}
}

func main() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 64<<20)
	out := json.NewEncoder(os.Stdout)
	for in.Scan() {
		if strings.TrimSpace(in.Text()) == "" {
			continue
		}
		var c Case
		var a Answer
		if err := json.Unmarshal(in.Bytes(), &c); err != nil {
			a.Error = "the case can't be read: " + err.Error()
		} else if object, err := answer(c); err != nil {
			a.Error = err.Error()
		} else {
			withoutTimes(object)
			text, err := json.Marshal(object)
			if err != nil {
				a.Error = err.Error()
			} else {
				a.Object = text
			}
		}
		if err := out.Encode(a); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}
