import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

import org.elasticsearch.common.logging.LogConfigurator;
import org.elasticsearch.common.settings.Settings;
import org.elasticsearch.env.Environment;
import org.elasticsearch.node.InternalSettingsPreparer;
import org.elasticsearch.node.Node;
import org.elasticsearch.plugins.PluginsLoader;

/** A real single-node Elasticsearch core (no x-pack) for tests: Elasticsearch9ForTests HOME HTTP_PORT LIB_DIR [key=value...] */
public class Elasticsearch9ForTests {
    public static void main(String[] args) throws Exception {
        Path home = Path.of(args[0]).toAbsolutePath();
        Path netty = home.resolve("modules/transport-netty4");
        for (Path d : List.of(home.resolve("config"), home.resolve("data"), home.resolve("logs"), home.resolve("plugins"), netty)) {
            Files.createDirectories(d);
        }
        try (var jars = Files.newDirectoryStream(Path.of(args[2]), "{netty,transport-netty4}-*.jar")) {
            for (Path jar : jars) {
                Files.copy(jar, netty.resolve(jar.getFileName()), StandardCopyOption.REPLACE_EXISTING);
            }
        }
        String version = org.elasticsearch.Build.current().version();
        Files.writeString(netty.resolve("plugin-descriptor.properties"), String.join("\n",
            "name=transport-netty4", "description=netty", "version=" + version, "elasticsearch.version=" + version,
            "java.version=17", "classname=org.elasticsearch.transport.netty4.Netty4Plugin", ""));
        Settings.Builder s = Settings.builder()
            .put("path.home", home.toString())
            .put("path.data", home.resolve("data").toString())
            .put("path.logs", home.resolve("logs").toString())
            .put("cluster.name", "tests")
            .put("node.name", "tests")
            .put("discovery.type", "single-node")
            .put("network.host", "127.0.0.1")
            .put("http.port", args[1])
            .put("transport.port", "0")
            .put("node.processors", 2)
            .put("cluster.routing.allocation.disk.threshold_enabled", false)
            .put("action.destructive_requires_name", false);
        for (int i = 3; i < args.length; i++) {
            String[] kv = args[i].split("=", 2);
            s.put(kv[0], kv[1]);
        }
        LogConfigurator.configureESLogging();
        Environment env = InternalSettingsPreparer.prepareEnvironment(s.build(), Map.of(), home.resolve("config"), () -> "tests");
        PluginsLoader plugins = PluginsLoader.createPluginsLoader(
            PluginsLoader.loadModulesBundles(home.resolve("modules"), false), Set.of(), Map.of());
        Node node = new Node(env, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception e) {
                e.printStackTrace();
            }
        }));
        node.start();
        System.out.println("started http 127.0.0.1:" + args[1]);
        new CountDownLatch(1).await();
    }
}
