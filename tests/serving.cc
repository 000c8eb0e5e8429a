// Runs an exported denoiser as TensorFlow Serving does, without Python: its loader, a session, its signatures.
//
//   serving MODEL denoise  IN OUT N H W C
//   serving MODEL denoise  IN OUT N H W C 0 SIGMA...       of a network that takes the level of the noise
//   serving MODEL gaintune IN OUT N H W C STEPS SIGMA...   one sigma for each of the N images
//   serving MODEL threads  IN OUT N H W C STEPS SIGMA...   each image in a request of its own, all N at once
//   serving MODEL gaintune_noise IN OUT N H W C STEPS K SLOPE... INTERCEPT... CORRELATION...   N, N and N * K * K
//
// IN holds N * H * W * C floats; OUT gets as many, and after them, unless for `denoise`, N risks. The peak of the
// process's memory, in kilobytes, goes to stdout.

#include <sys/resource.h>

#include <cstdlib>
#include <fstream>
#include <iostream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tensorflow/cc/saved_model/loader.h"

using tensorflow::Tensor;
using Floats = std::vector<float>;
using Named = std::vector<std::pair<std::string, Tensor>>;

struct Request {
  tensorflow::int64 n, h, w, c;
  Floats pixels, sigma;
  // Of `gaintune_noise`.
  tensorflow::int64 k = 0;
  Floats slope, intercept, correlation;
  int steps;
};

struct Answer {
  Floats denoised, sure;
};

void Check(bool good, const std::string& what) {
  if (!good) {
    std::cerr << what << std::endl;
    std::exit(1);
  }
}

Tensor Filled(const tensorflow::TensorShape& shape, const Floats& values) {
  Tensor tensor(tensorflow::DT_FLOAT, shape);
  Check(tensor.NumElements() == static_cast<tensorflow::int64>(values.size()), "wrong number of values");
  std::copy(values.begin(), values.end(), tensor.flat<float>().data());
  return tensor;
}

Floats Values(const Tensor& tensor) {
  auto flat = tensor.flat<float>();
  return Floats(flat.data(), flat.data() + flat.size());
}

Answer Run(const tensorflow::SavedModelBundle& bundle, const std::string& name, const Request& request) {
  const auto& signatures = bundle.GetSignatures();
  Check(signatures.count(name) == 1, "no signature " + name);
  const auto& signature = signatures.at(name);
  Named inputs;
  inputs.emplace_back(signature.inputs().at("noisy").name(),
                      Filled({request.n, request.h, request.w, request.c}, request.pixels));
  std::vector<std::string> outputs = {signature.outputs().at("denoised").name()};
  const auto add = [&](const std::string& input, const tensorflow::TensorShape& shape, const Floats& values) {
    inputs.emplace_back(signature.inputs().at(input).name(), Filled(shape, values));
  };
  // That of `gaintune`, and of a network that takes the level of the noise.
  if (signature.inputs().count("sigma")) add("sigma", {request.n}, request.sigma);
  if (name == "gaintune_noise") {
    add("slope", {request.n}, request.slope);
    add("intercept", {request.n}, request.intercept);
    add("correlation", {request.n, request.k, request.k}, request.correlation);
  }
  if (name != "serving_default") {
    inputs.emplace_back(signature.inputs().at("steps").name(), Tensor(request.steps));
    outputs.push_back(signature.outputs().at("sure").name());
  }
  std::vector<Tensor> results;
  const auto status = bundle.session->Run(inputs, outputs, {}, &results);
  Check(status.ok(), status.ToString());
  return {Values(results[0]), results.size() > 1 ? Values(results[1]) : Floats()};
}

Request OneOf(const Request& all, const Floats& pixels, float sigma) {
  Request one = all;
  one.n = 1;
  one.pixels = pixels;
  one.sigma = {sigma};
  return one;
}

// Every image in a thread and a request of its own.
Answer RunAtOnce(const tensorflow::SavedModelBundle& bundle, const Request& request) {
  std::vector<Answer> answers(request.n);
  std::vector<std::thread> threads;
  const auto size = request.pixels.size() / request.n;
  for (tensorflow::int64 i = 0; i < request.n; ++i) {
    threads.emplace_back([&, i] {
      const auto begin = request.pixels.begin() + i * size;
      answers[i] = Run(bundle, "gaintune",
                       OneOf(request, Floats(begin, begin + size), request.sigma[i]));
    });
  }
  for (auto& thread : threads) thread.join();
  Answer together;
  for (const auto& answer : answers) {
    together.denoised.insert(together.denoised.end(), answer.denoised.begin(), answer.denoised.end());
    together.sure.insert(together.sure.end(), answer.sure.begin(), answer.sure.end());
  }
  return together;
}

// K, then the numbers of all images, one kind after the other.
void ReadNoise(const Floats& numbers, Request* request) {
  Check(!numbers.empty(), "K, SLOPE..., INTERCEPT... and CORRELATION...");
  const auto n = request->n;
  request->k = static_cast<tensorflow::int64>(numbers[0]);
  Check(static_cast<tensorflow::int64>(numbers.size()) == 1 + n * (2 + request->k * request->k), "N * (2 + K * K) numbers");
  const auto slope = numbers.begin() + 1;
  request->slope.assign(slope, slope + n);
  request->intercept.assign(slope + n, slope + 2 * n);
  request->correlation.assign(slope + 2 * n, numbers.end());
}

int main(int count, char** arguments) {
  Check(count >= 9, "usage: serving MODEL denoise|gaintune|threads|gaintune_noise IN OUT N H W C [STEPS NUMBER...]");
  const std::string mode = arguments[2];
  Request request;
  request.n = std::atoll(arguments[5]);
  request.h = std::atoll(arguments[6]);
  request.w = std::atoll(arguments[7]);
  request.c = std::atoll(arguments[8]);
  request.steps = count > 9 ? std::atoi(arguments[9]) : 0;
  Floats numbers;
  for (int i = 10; i < count; ++i) numbers.push_back(std::atof(arguments[i]));
  if (mode == "gaintune_noise")
    ReadNoise(numbers, &request);
  else
    request.sigma = numbers;
  Check(mode == "denoise" || mode == "gaintune_noise" || static_cast<tensorflow::int64>(request.sigma.size()) == request.n, "one SIGMA per image");

  request.pixels.resize(request.n * request.h * request.w * request.c);
  std::ifstream input(arguments[3], std::ios::binary);
  input.read(reinterpret_cast<char*>(request.pixels.data()), request.pixels.size() * sizeof(float));
  Check(input.good(), "cannot read as many floats");

  tensorflow::SavedModelBundle bundle;
  const auto status = tensorflow::LoadSavedModel({}, {}, arguments[1], {"serve"}, &bundle);
  Check(status.ok(), status.ToString());
  const Answer answer = mode == "threads" ? RunAtOnce(bundle, request)
                                          : Run(bundle, mode == "denoise" ? "serving_default" : mode, request);

  std::ofstream output(arguments[4], std::ios::binary);
  for (const Floats* values : {&answer.denoised, &answer.sure})
    output.write(reinterpret_cast<const char*>(values->data()), values->size() * sizeof(float));
  output.close();
  Check(output.good(), "cannot write");
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  std::cout << usage.ru_maxrss << std::endl;
}
